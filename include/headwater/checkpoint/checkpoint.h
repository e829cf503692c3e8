#pragma once
// A checkpoint on disk, from which each rank reads the parts that it needs. Any layout reads what any other
// layout wrote, weights and optimizer state alike.
//
// read() may be called by one thread at a time.

#include "headwater/checkpoint/manifest.h"
#include "headwater/checkpoint/safetensors.h"
#include "headwater/checkpoint/weight_source.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace headwater {

class Checkpoint final : public WeightSource {
 public:
  // Checks the manifest, and that every file exists and has its size. Throws UserError. verify_checkpoint
  // checks the files' checksums.
  explicit Checkpoint(const Path& folder);

  const Path& path() const { return path_; }
  const Manifest& manifest() const { return manifest_; }
  const std::string& description() const override { return description_; }
  const ModelConfig& model() const override { return manifest_.header.model; }
  bool has(const std::string& name) const override { return has(name, StateKind::weight); }
  void read(const std::string& name, const Slice& slice, TensorView out) const override {
    read(name, StateKind::weight, slice, out);
  }

  bool has(const std::string& name, StateKind kind) const;
  void read(const std::string& name, StateKind kind, const Slice& slice, TensorView out) const;

 private:
  const SafetensorsReader& file(const std::string& name) const;

  Path path_;
  std::string description_;
  Manifest manifest_;
  mutable std::map<std::string, std::unique_ptr<SafetensorsReader>> files_;  // opened at the first read
};

// Returns `path` if that is a checkpoint, or the newest checkpoint in it if it is a `save` folder. Throws
// UserError if it is neither.
Path find_checkpoint(const Path& path);

struct VerifyResult {
  std::int64_t files = 0;        // how many were checked
  std::vector<std::string> bad;  // names of those that are missing, cut or altered
};
// Compares every file with its checksum.
VerifyResult verify_checkpoint(const Path& folder);

std::int64_t parameter_count(const Manifest& manifest);
std::int64_t total_bytes(const Manifest& manifest);  // of the files that it lists

}  // namespace headwater
