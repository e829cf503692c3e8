#include "hf_folder.h"

#include "headwater/base/error.h"
#include "headwater/config/json_text.h"
#include "headwater/nn/model_units.h"

#include "json_reading.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

namespace headwater {
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr const char* kHead = "lm_head.weight";

// Returns the names of the files that hold the weights: the single one, or those that the index names.
std::vector<std::string> weight_files(const Path& folder) {
  if (std::filesystem::exists(folder / kSingleFile)) return {kSingleFile};
  const Path index = folder / kIndexFile;
  if (!std::filesystem::exists(index))
    throw UserError("{} has a config.json but neither {} nor {}", folder.string(), kSingleFile, kIndexFile);
  const nlohmann::json contents = parse_json_text(read_text(index), index.string());
  const nlohmann::json& map = member(contents, "weight_map", index.string());
  if (!map.is_object()) throw UserError("weight_map in {} must be an object", index.string());
  std::set<std::string> files;
  for (const auto& [tensor, file] : map.items()) {
    const std::string name = text(file, fmt::format("weight_map of {} in {}", tensor, index.string()));
    if (name.empty() || Path(name).filename() != name)
      throw UserError("weight_map in {} names the file \"{}\"; it must be one of that folder", index.string(),
                      name);
    files.insert(name);
  }
  return {files.begin(), files.end()};
}

// Whether a tensor is a buffer that old folders have beside the weights. It is not read: rotary frequencies
// are computed.
bool is_buffer(const std::string& name) { return name.ends_with(".rotary_emb.inv_freq"); }

bool same_contents(const SafetensorsReader& a, const StoredTensor& x, const SafetensorsReader& b,
                   const StoredTensor& y) {
  return x.type == y.type && x.shape == y.shape && std::ranges::equal(a.bytes(x), b.bytes(y));
}

}  // namespace

HfFolder::HfFolder(const Path& folder)
    : description_("Hugging Face folder " + folder.string()),
      model_(read_hf_config(folder / "config.json")),
      tensors_(hf_tensors(model_)) {
  open_files(folder);
  check_tensors();
  for (const ParameterSpec& parameter : parameters(expand(model_)))
    canonical_[parameter.name].shape = parameter.shape;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    for (const HfPiece& piece : tensors_[i].pieces) {
      std::vector<std::size_t>& holders = canonical_.at(piece.canonical).holders;
      if (holders.empty() || holders.back() != i) holders.push_back(i);
    }
  }
}

void HfFolder::open_files(const Path& folder) {
  for (const std::string& name : weight_files(folder)) {
    const SafetensorsReader& file = *files_.emplace_back(std::make_unique<SafetensorsReader>(folder / name));
    for (const StoredTensor& tensor : file.tensors()) {
      const auto [at, fresh] = stored_.emplace(tensor.name, Stored{&file, &tensor});
      if (!fresh)
        throw UserError("{} has tensor {} twice, in {} and in {}", folder.string(), tensor.name,
                        at->second.file->path().filename().string(), name);
    }
  }
}

void HfFolder::check_tensors() const {
  std::set<std::string> known;
  for (const HfTensor& tensor : tensors_) {
    known.insert(tensor.name);
    const Shape& found = stored(tensor).tensor->shape;
    if (found != tensor.shape)
      throw UserError("tensor {} in the {} is {}; by its config.json it must be {}", tensor.name,
                      description_, to_string(found), to_string(tensor.shape));
  }
  for (const auto& [name, place] : stored_) {
    if (known.contains(name) || is_buffer(name)) continue;
    if (name != kHead)
      throw UserError("the {} has a tensor {}, which a Yuan 2.0 model of its config.json does not have",
                      description_, name);
    const Stored& embedding = stored(tensors_.front());
    if (!same_contents(*place.file, *place.tensor, *embedding.file, *embedding.tensor))
      throw UserError(
          "the {} has a {} that is not its embedding, though tie_word_embeddings in its config.json ties the "
          "two; set that to false",
          description_, kHead);
  }
}

const HfFolder::Stored& HfFolder::stored(const HfTensor& tensor) const {
  const auto found = stored_.find(tensor.name);
  if (found == stored_.end()) throw UserError("the {} has no tensor {}", description_, tensor.name);
  return found->second;
}

void HfFolder::read(const std::string& name, const Slice& slice, TensorView out) const {
  const auto found = canonical_.find(name);
  if (found == canonical_.end()) throw UserError("the {} has no parameter {}", description_, name);
  const Canonical& canonical = found->second;
  HW_CHECK(lies_within(slice, canonical.shape) && out.elements() == slice.count,
           "{} of {}, which is {}, into {}", to_string(slice), name, to_string(canonical.shape),
           to_string(out.shape));
  const HfTensor& first = tensors_[canonical.holders.front()];
  if (canonical.holders.size() == 1 && first.plain()) {
    const Stored& place = stored(first);
    return place.file->read(*place.tensor, slice, out);
  }

  const std::size_t element = size_of(out.dtype);
  std::vector<std::byte> all(static_cast<std::size_t>(canonical.shape.elements()) * element), mixed;
  const TensorView gathered(all.data(), out.dtype, canonical.shape);
  for (const std::size_t holder : canonical.holders) {
    const HfTensor& tensor = tensors_[holder];
    const Stored& place = stored(tensor);
    mixed.resize(static_cast<std::size_t>(tensor.shape.elements()) * element);
    const TensorView hf(mixed.data(), out.dtype, tensor.shape);
    place.file->read(*place.tensor, 0, hf);
    for (const HfPiece& piece : tensor.pieces)
      if (piece.canonical == name) copy_from_hf(piece, hf, gathered);
  }
  auto* target = static_cast<std::byte*>(out.data);
  for_shared_runs(whole(canonical.shape), slice, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    std::memcpy(target + static_cast<std::size_t>(to) * element,
                all.data() + static_cast<std::size_t>(from) * element,
                static_cast<std::size_t>(count) * element);
  });
}

}  // namespace headwater
