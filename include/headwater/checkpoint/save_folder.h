#pragma once
// The folder that `training.save` names: checkpoints step-00001000/, `latest` (the name of the newest
// complete one), a lock while a run uses it. Reading it takes no lock. What a killed save left behind ends in
// ".tmp".

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
  static constexpr const char* kTemporary = ".tmp";                     // ends the name of what is not whole
  static std::string name_of(std::int64_t step);                        // "step-00001000"
  static std::optional<std::int64_t> step_of(const std::string& name);  // none where it is no such name

  const Path& path() const { return path_; }
  Path checkpoint(std::int64_t step) const { return path_ / name_of(step); }

  // Rank 0, at the start of a run: makes the folder, takes the lock (UserError where another run holds it)
  // and removes what killed saves left.
  FileLock claim() const;

  // What the file `latest` says; none where there is none. UserError where it says no such name.
  std::optional<std::int64_t> latest() const;
  // Whether the checkpoint's files are all there in their sizes.
  bool is_complete(std::int64_t step) const;
  // The complete ones, oldest first.
  std::vector<std::int64_t> complete() const;
  // The checkpoint that a resume starts from: the one that `latest` names; without that file the newest
  // complete one; none where there is neither. UserError, naming the newest complete other one, where the one
  // that `latest` names is missing or cut.
  std::optional<Path> newest() const;

  void set_latest(std::int64_t step) const;
  // Removes all but the newest `keep` checkpoints up to the one `latest` names; 0 keeps all. A failure is
  // logged, not thrown.
  void prune(std::int64_t keep) const;

 private:
  Path path_;
};

}  // namespace headwater
