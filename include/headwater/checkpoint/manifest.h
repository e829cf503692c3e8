#pragma once
// The contents of manifest.json, by which a checkpoint describes itself (docs/formats/checkpoint.md), and
// their text.

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

// The states of a parameter that are saved. `weight` is the fp32 master.
enum class StateKind : std::uint8_t { weight, exp_avg, exp_avg_sq };
std::string_view name_of(StateKind kind);  // "weight", "exp_avg", "exp_avg_sq"

// How far a run has come. Counts are since the start of training, over all resumes.
struct Counters {
  std::int64_t step = 0;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;
  std::int64_t updates = 0;       // steps that moved the weights: Adam's t
  std::int64_t skipped = 0;       // steps whose loss or norm was not finite
  std::int64_t bad_in_a_row = 0;  // how many of the newest steps were skipped, without a good one between
  std::int64_t run = 0;           // the number of the run, as in metrics.jsonl
  // 1 if the evaluation after this step was cut short and must still be made, else 0.
  std::int64_t evaluation_due = 0;
  bool operator==(const Counters&) const = default;
};

// The trainer's description of a run at the moment of a save.
struct SaveHeader {
  RunConfig config;         // as given, but model, parallel, global batch and end of document are resolved
  ModelConfig model;        // resolved
  ParallelConfig parallel;  // resolved, as the run used it
  std::int64_t data_parallel_size = 1;
  std::string dtype;          // the compute type, with `auto` resolved: "fp32", "bf16"
  std::int64_t threads = 1;   // per rank, with `auto` resolved
  std::int64_t cublaslt = 0;  // the version of cuBLASLt, if that library computed the products, else 0
  Counters counters;
  bool operator==(const SaveHeader&) const = default;
};

struct StoredSlice {
  std::string file, key;  // the slice is tensor `key` of `file`
  Slice slice;
  bool operator==(const StoredSlice&) const = default;
};

struct StoredState {
  DType dtype = DType::f32;
  Shape shape;  // of the whole state
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
// Throws UserError, which names `file_name`, if the text is not a complete and consistent manifest of a
// known version.
Manifest parse_manifest(const std::string& text, const std::string& file_name);

}  // namespace headwater
