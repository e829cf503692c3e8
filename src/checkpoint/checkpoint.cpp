#include "headwater/checkpoint/checkpoint.h"

#include "headwater/base/error.h"
#include "headwater/checkpoint/save_folder.h"
#include "manifest_file.h"

#include <filesystem>
#include <system_error>

namespace headwater {
namespace {

// Returns the size of a file, or nothing if there is no such file.
std::optional<std::uint64_t> size_on_disk(const Path& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (!error) return size;
  if (error == std::errc::no_such_file_or_directory || error == std::errc::is_a_directory)
    return std::nullopt;
  throw_errno(error.value(), "read the size of", path.string());
}

}  // namespace

Checkpoint::Checkpoint(const Path& folder)
    : path_(folder), description_("checkpoint " + folder.string()), manifest_(read_manifest(folder)) {
  for (const auto& [name, file] : manifest_.files) {
    const std::optional<std::uint64_t> size = size_on_disk(folder / name);
    if (!size) throw UserError("the {} has no file {}, which its manifest lists", description_, name);
    if (*size != file.size)
      throw UserError("{} has {} bytes; by its manifest it must have {}: the file {}",
                      (folder / name).string(), *size, file.size,
                      *size < file.size ? "is cut" : "was altered");
  }
}

bool Checkpoint::has(const std::string& name, StateKind kind) const {
  return manifest_.states.contains({name, kind});
}

const SafetensorsReader& Checkpoint::file(const std::string& name) const {
  std::unique_ptr<SafetensorsReader>& reader = files_[name];
  if (!reader) reader = std::make_unique<SafetensorsReader>(path_ / name);
  return *reader;
}

void Checkpoint::read(const std::string& name, StateKind kind, const Slice& slice, TensorView out) const {
  const auto found = manifest_.states.find({name, kind});
  if (found == manifest_.states.end())
    throw UserError("the {} has no {} of {}", description_, name_of(kind), name);
  const StoredState& state = found->second;
  if (!lies_within(slice, state.shape))
    throw UserError("{} in the {} is {}; asked for were {}", name, description_, to_string(state.shape),
                    to_string(slice));
  HW_CHECK(out.elements() == slice.count, "{} of {} into {}", to_string(slice), name, to_string(out.shape));

  const TensorView flat = out.reshaped({out.elements()});
  std::int64_t read = 0;
  for (const StoredSlice& stored : state.slices) {
    read += for_shared_runs(stored.slice, slice, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
      const SafetensorsReader& reader = file(stored.file);
      const StoredTensor& tensor = reader.at(stored.key);
      if (tensor.type != stored_type(state.dtype) || tensor.shape.elements() != stored.slice.count)
        throw UserError("tensor {} in {} is {} {}; by the manifest it must be {} elements of {}", tensor.name,
                        reader.path().string(), name_of(tensor.type), to_string(tensor.shape),
                        stored.slice.count, name_of(state.dtype));
      reader.read(tensor, from, flat.rows(to, count));
    });
  }
  HW_CHECK(read == slice.count, "{} of {} elements of {} found, though its slices cover it", read,
           slice.count, name);
}

Path find_checkpoint(const Path& path) {
  namespace fs = std::filesystem;
  if (!fs::exists(path))
    throw UserError("{} does not exist; a checkpoint or a `save` folder was looked for", path.string());
  if (fs::exists(path / kManifestName)) return path;
  if (const std::optional<Path> newest = SaveFolder(path).newest()) return *newest;
  throw UserError("{} is neither a checkpoint (it has no {}) nor a `save` folder with one (latest, step-…)",
                  path.string(), kManifestName);
}

VerifyResult verify_checkpoint(const Path& folder) {
  if (!std::filesystem::exists(folder / kManifestName))
    read_manifest(folder);  // throws, and says that this is no checkpoint
  VerifyResult result{1, {}};
  if (!manifest_intact(folder)) {
    // The other files cannot be checked, as an altered manifest may say anything of them.
    result.bad.push_back(kManifestName);
    return result;
  }
  const Manifest manifest = read_manifest(folder);
  for (const auto& [name, file] : manifest.files) {
    ++result.files;
    const std::optional<std::uint64_t> size = size_on_disk(folder / name);
    if (size != file.size || file_hash(folder / name) != file.hash) result.bad.push_back(name);
  }
  return result;
}

std::int64_t parameter_count(const Manifest& manifest) {
  std::int64_t count = 0;
  for (const auto& [name, state] : manifest.states)
    if (name.kind == StateKind::weight) count += state.shape.elements();
  return count;
}

std::int64_t total_bytes(const Manifest& manifest) {
  std::int64_t bytes = 0;
  for (const auto& [name, file] : manifest.files) bytes += static_cast<std::int64_t>(file.size);
  return bytes;
}

}  // namespace headwater
