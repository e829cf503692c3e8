#pragma once
// What a checkpoint says about itself: manifest.json (docs/formats/checkpoint.md). Plain data; read and
// written here.

#include "headwater/base/file.h"
#include "headwater/config/run_config.h"
#include "headwater/tensor/dtype.h"
#include "headwater/tensor/slice.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace headwater {

inline constexpr int kCheckpointVersion = 1;

// What is kept of a parameter. The weight is the fp32 master.
enum class StateKind : std::uint8_t { weight, exp_avg, exp_avg_sq };
std::string_view name_of(StateKind kind);  // "weight", "exp_avg", "exp_avg_sq"

// Where a run stands. Counts are since the start of training, over all resumes.
struct Counters {
  std::int64_t step = 0;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;
  std::int64_t updates = 0;       // steps that moved the weights: Adam's t
  std::int64_t skipped = 0;       // steps whose loss or norm was not finite
  std::int64_t bad_in_a_row = 0;  // of those, the newest without a good one between
  std::int64_t run = 0;           // as in metrics.jsonl
  // 1: the evaluation after this step was cut short, and is still to be made
  std::int64_t evaluation_due = 0;
  bool operator==(const Counters&) const = default;
};

// What the trainer says of a run at the moment of a save.
struct SaveHeader {
  RunConfig config;         // as asked
  ModelConfig model;        // resolved
  ParallelConfig parallel;  // resolved: as it ran
  std::int64_t data_parallel_size = 1;
  std::string dtype;          // of compute, `auto` resolved: "fp32", "bf16"
  std::int64_t threads = 1;   // per rank, `auto` resolved
  std::int64_t cublaslt = 0;  // version of the library that made the products; 0 where it made none
  Counters counters;
  bool operator==(const SaveHeader&) const = default;
};

struct StoredSlice {
  std::string file, key;  // which tensor of which file
  Slice slice;
  bool operator==(const StoredSlice&) const = default;
};

struct StoredState {
  DType dtype = DType::f32;
  Shape shape;  // global
  std::vector<StoredSlice> slices;
  bool operator==(const StoredState&) const = default;
};

struct StoredFile {
  std::uint64_t size = 0, hash = 0;
  bool operator==(const StoredFile&) const = default;
};

struct StateName {
  std::string parameter;
  StateKind kind = StateKind::weight;
  auto operator<=>(const StateName&) const = default;
};

struct Manifest {
  SaveHeader header;
  std::map<std::string, StoredFile> files;
  std::map<StateName, StoredState> states;
  bool operator==(const Manifest&) const = default;
};

std::string manifest_text(const Manifest& manifest);
// Throws UserError, naming `file_name`, where the text is not a whole and consistent manifest of a known
// version.
Manifest parse_manifest(const std::string& text, const std::string& file_name);

}  // namespace headwater
