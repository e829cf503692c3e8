#include "headwater/checkpoint/save_folder.h"

#include "headwater/base/error.h"
#include "headwater/base/log.h"
#include "headwater/checkpoint/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

namespace headwater {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr const char* kLatest = "latest";
constexpr const char* kLock = "lock";

// Returns the names of the folder's entries, sorted; none if there is no such folder.
std::vector<std::string> entries(const Path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  if (error && error != std::errc::no_such_file_or_directory)
    throw_errno(error.value(), "list", folder.string());
  std::ranges::sort(names);
  return names;
}

// Returns the steps that have a folder, complete or not, oldest first.
std::vector<std::int64_t> steps_in(const Path& folder) {
  std::vector<std::int64_t> steps;
  for (const std::string& name : entries(folder))
    if (const auto step = SaveFolder::step_of(name)) steps.push_back(*step);
  std::ranges::sort(steps);
  return steps;
}

// Returns why a checkpoint cannot be used, or "" if it can.
std::string defect(const Path& checkpoint) {
  try {
    static_cast<void>(Checkpoint(checkpoint));
    return {};
  } catch (const UserError& error) {
    return error.what();
  }
}

}  // namespace

std::string SaveFolder::name_of(std::int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

std::optional<std::int64_t> SaveFolder::step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + kPrefix.size(), end, step);
  // Other spellings of the number are not names of steps.
  if (parsed.ec != std::errc() || parsed.ptr != end || step < 0 || name_of(step) != name) return std::nullopt;
  return step;
}

FileLock SaveFolder::claim() const {
  make_folders(path_);
  FileLock lock(path_ / kLock, "training.save " + path_.string());
  for (const std::string& name : entries(path_)) {
    if (!name.starts_with(kPrefix) && !name.starts_with(kLatest)) continue;
    if (name.find(kTemporary) != std::string::npos) remove_tree(path_ / name);
  }
  return lock;
}

std::optional<std::int64_t> SaveFolder::latest() const {
  const Path file = path_ / kLatest;
  if (!fs::exists(file)) return std::nullopt;
  std::string name = read_text(file);
  while (!name.empty() && (name.back() == '\n' || name.back() == '\r' || name.back() == ' ')) name.pop_back();
  const std::optional<std::int64_t> step = step_of(name);
  if (!step)
    throw UserError("{} says \"{}\"; it must name a checkpoint, such as {}", file.string(),
                    name.substr(0, 80), name_of(1000));
  return step;
}

bool SaveFolder::is_complete(std::int64_t step) const { return defect(checkpoint(step)).empty(); }

std::vector<std::int64_t> SaveFolder::complete() const {
  std::vector<std::int64_t> steps = steps_in(path_);
  std::erase_if(steps, [this](std::int64_t step) { return !is_complete(step); });
  return steps;
}

std::optional<Path> SaveFolder::newest() const {
  const std::optional<std::int64_t> step = latest();
  if (!step) {
    // The run was killed before it first wrote `latest`, or the folder was copied without it.
    const std::vector<std::int64_t> steps = complete();
    return steps.empty() ? std::nullopt : std::optional(checkpoint(steps.back()));
  }
  const std::string reason = defect(checkpoint(*step));
  if (reason.empty()) return checkpoint(*step);
  std::vector<std::int64_t> others = complete();
  if (others.empty())
    throw UserError("{} names {}, which cannot be used, and there is no other complete checkpoint: {}",
                    (path_ / kLatest).string(), name_of(*step), reason);
  throw UserError(
      "{} names {}, which cannot be used; the newest complete one is {} (write that name into {} to go on "
      "from it): {}",
      (path_ / kLatest).string(), name_of(*step), name_of(others.back()), kLatest, reason);
}

void SaveFolder::set_latest(std::int64_t step) const {
  write_text_atomically(path_ / kLatest, name_of(step));
}

void SaveFolder::prune(std::int64_t keep) const {
  try {
    const std::optional<std::int64_t> newest = latest();
    if (keep == 0 || !newest) return;
    std::vector<std::int64_t> steps = steps_in(path_);
    std::erase_if(steps, [&](std::int64_t step) { return step > *newest; });
    const auto excess = static_cast<std::int64_t>(steps.size()) - keep;
    for (std::int64_t i = 0; i < excess; ++i) {
      // The folder is renamed first, so that a killed removal does not leave an incomplete checkpoint under
      // that name.
      const Path old = checkpoint(steps[static_cast<std::size_t>(i)]), doomed = old.string() + kTemporary;
      rename_durably(old, doomed);
      remove_tree(doomed);
    }
  } catch (const Error& error) {
    log::warning("old checkpoints in {} were not removed: {}", path_.string(), error.what());
  }
}

}  // namespace headwater
