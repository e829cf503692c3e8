#pragma once
// The folder that `training.save` names. It holds checkpoints (step-00001000/), the file `latest` with the
// name of the newest complete one, and a lock while a run writes to it. Reading takes no lock. Names that
// end in ".tmp" are what a killed save left.

#include "headwater/base/file.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace headwater {

class SaveFolder {
 public:
  explicit SaveFolder(Path path) : path_(std::move(path)) {}
  static constexpr const char* kTemporary = ".tmp";  // ends names of incomplete files and folders
  static std::string name_of(std::int64_t step);     // "step-00001000"
  static std::optional<std::int64_t> step_of(const std::string& name);  // empty if it is no such name

  const Path& path() const { return path_; }
  Path checkpoint(std::int64_t step) const { return path_ / name_of(step); }

  // Makes the folder, takes the lock and removes what killed saves left. For rank 0, at the start of a run.
  // Throws UserError if another run holds the lock.
  FileLock claim() const;

  // Returns the step that the file `latest` names, or nothing if there is no such file. Throws UserError if
  // the file names no step.
  std::optional<std::int64_t> latest() const;
  // Whether all files of the step's checkpoint exist and have their sizes.
  bool is_complete(std::int64_t step) const;
  // Returns the steps that have a complete checkpoint, oldest first.
  std::vector<std::int64_t> complete() const;
  // Returns the checkpoint that a resume starts from: the one that `latest` names; without that file the
  // newest complete one; nothing if there is none. Throws UserError if the one that `latest` names is
  // missing or cut; the message names the newest other complete one.
  std::optional<Path> newest() const;

  void set_latest(std::int64_t step) const;
  // Keeps the newest `keep` of the checkpoints up to the one that `latest` names, and removes the older
  // ones. 0 keeps all. An Error is logged, not thrown.
  void prune(std::int64_t keep) const;

 private:
  Path path_;
};

}  // namespace headwater
