#include "headwater/checkpoint/saver.h"

#include "headwater/base/bytes.h"
#include "headwater/base/error.h"
#include "headwater/base/log.h"
#include "headwater/checkpoint/checkpoint.h"
#include "headwater/checkpoint/safetensors.h"
#include "manifest_file.h"
#include "manifest_json.h"
#include "together.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace headwater {
namespace {

using nlohmann::json;

// Returns the name of this rank's file, such as "weights-00000-of-00002.safetensors", or "" if it writes
// none. Files are numbered among the ranks that write one. All ranks must call.
std::string file_name(Communicator& ranks, std::string_view content, bool writes) {
  const std::byte flag{static_cast<unsigned char>(writes)};
  const auto flags = gather_bytes(ranks, {&flag, 1});
  const auto is_writer = [](const std::vector<std::byte>& rank) { return rank[0] != std::byte{0}; };
  const auto number = std::count_if(flags.begin(), flags.begin() + ranks.rank(), is_writer);
  const auto count = std::ranges::count_if(flags, is_writer);
  return writes ? fmt::format("{}-{:05}-of-{:05}.safetensors", content, number, count) : std::string();
}

// Returns a tensor's key in its file: NAME, NAME.exp_avg or NAME.exp_avg_sq. Further slices of the same
// state in one file get "#1", "#2" and so on.
std::string key_for(const SaveTensor& tensor, const StoredState& state, const std::string& file) {
  std::string key = tensor.name;
  if (tensor.kind != StateKind::weight) key += fmt::format(".{}", name_of(tensor.kind));
  const auto before = std::ranges::count(state.slices, file, &StoredSlice::file);
  return before == 0 ? key : fmt::format("{}#{}", key, before);
}

Shape shape_on_disk(const Slice& slice) {
  return slice.count == slice.box.size.elements() ? slice.box.size : Shape{slice.count};
}

// Writes and syncs one file, and adds it and its contents to `own`.
void write_file(const Path& folder, const std::string& name, const std::vector<const SaveTensor*>& tensors,
                Manifest& own) {
  std::vector<StoredTensor> declared;
  for (const SaveTensor* tensor : tensors) {
    StoredState& state =
        own.states
            .try_emplace({tensor->name, tensor->kind}, StoredState{DType::f32, tensor->global_shape, {}})
            .first->second;
    const std::string key = key_for(*tensor, state, name);
    state.slices.push_back({name, key, tensor->slice});
    declared.push_back({key, StoredType::f32, tensor->data.shape});
  }
  OutputFile out = OutputFile::create(folder / name);
  SafetensorsWriter writer(out, std::move(declared));
  for (const SaveTensor* tensor : tensors) writer.write(tensor->data);
  writer.finish();
  out.sync();
  out.close();
  own.files[name] = {writer.size(), writer.hash()};
}

// Merges the files and slices of all ranks, and checks that they hold every element exactly once.
Manifest merged(const std::vector<std::vector<std::byte>>& parts, const SaveHeader& header) {
  Manifest manifest;
  manifest.header = header;
  for (std::size_t rank = 0; rank < parts.size(); ++rank)
    add_contents(json::parse(as_text(parts[rank])), fmt::format("what rank {} wrote", rank), manifest);
  const auto problem = inconsistency(manifest);
  HW_CHECK(!problem, "{}", *problem);
  return manifest;
}

void remove_quietly(const Path& path) {
  try {
    remove_tree(path);
  } catch (const Error& error) {
    log::warning("{}", error.what());
  }
}

}  // namespace

Saver::Saver(SaveFolder folder, Communicator& ranks, std::int64_t keep)
    : folder_(std::move(folder)), ranks_(ranks), keep_(keep) {}

void Saver::stage(const std::vector<SaveTensor>& tensors) {
  std::int64_t bytes = 0;
  for (const SaveTensor& tensor : tensors) {
    HW_CHECK(tensor.data.dense() && tensor.data.dtype == DType::f32 && tensor.data.device == Device{} &&
                 tensor.data.elements() == tensor.slice.count &&
                 lies_within(tensor.slice, tensor.global_shape),
             "{} {}, {}: {} of {}", tensor.name, name_of(tensor.kind), to_string(tensor.global_shape),
             to_string(tensor.slice), to_string(tensor.data.shape));
    bytes += static_cast<std::int64_t>(tensor.data.bytes());
  }
  staged_ = {};
  staged_.memory = allocate(Device{}, bytes, "the copy of the training state that a save writes");
  std::byte* next = staged_.memory.get();
  for (const SaveTensor& tensor : tensors) {
    if (tensor.data.bytes() > 0) std::memcpy(next, tensor.data.data, tensor.data.bytes());
    SaveTensor& copy = staged_.tensors.emplace_back(tensor);
    copy.data = TensorView(next, DType::f32, shape_on_disk(tensor.slice));
    next += tensor.data.bytes();
  }
}

void Saver::commit(const SaveHeader& header) {
  const Staged staged = std::exchange(staged_, {});  // freed at the end of this function, however it ends
  const std::int64_t step = header.counters.step;
  const Path temporary = folder_.checkpoint(step).string() + SaveFolder::kTemporary;
  try {
    if (!begin(temporary, step)) return;
    const std::string own = contents_json(write_files(temporary, staged.tensors)).dump();
    const auto parts = gather_bytes(ranks_, std::as_bytes(std::span(own)));
    together(ranks_, [&] {
      if (ranks_.rank() == 0) publish(temporary, merged(parts, header));
    });
  } catch (const CommError&) {
    throw;  // a peer is lost: other ranks may still be writing, so the next run's SaveFolder::claim cleans up
  } catch (...) {
    if (ranks_.rank() == 0) remove_quietly(temporary);
    throw;
  }
  if (ranks_.rank() == 0) folder_.prune(keep_);
}

// Has rank 0 make the folder, unless the step is saved already. Returns on every rank whether it was made.
bool Saver::begin(const Path& temporary, std::int64_t step) const {
  bool needed = false;
  together(ranks_, [&] {
    if (ranks_.rank() != 0) return;
    needed = folder_.latest() != step || !folder_.is_complete(step);
    if (!needed) return;
    remove_tree(temporary);
    make_folders(temporary);
  });
  return max_over(ranks_, needed ? 1 : 0) == 1;
}

// Writes this rank's files and returns what they hold. When it returns, the files of all ranks are synced.
// Weights and optimizer state go to separate files, so that weights can be taken alone.
Manifest Saver::write_files(const Path& temporary, const std::vector<SaveTensor>& tensors) const {
  std::vector<const SaveTensor*> weights, optimizer;
  for (const SaveTensor& tensor : tensors)
    (tensor.kind == StateKind::weight ? weights : optimizer).push_back(&tensor);
  const std::string weights_name = file_name(ranks_, "weights", !weights.empty());
  const std::string optimizer_name = file_name(ranks_, "optimizer", !optimizer.empty());
  Manifest own;
  together(ranks_, [&] {
    if (!weights.empty()) write_file(temporary, weights_name, weights, own);
    if (!optimizer.empty()) write_file(temporary, optimizer_name, optimizer, own);
  });
  return own;
}

// Completes the checkpoint, gives the folder its final name, and makes `latest` name it. For rank 0.
void Saver::publish(const Path& temporary, const Manifest& manifest) const {
  const std::int64_t step = manifest.header.counters.step;
  const Path target = folder_.checkpoint(step);
  write_manifest(temporary, manifest);
  sync_folder(temporary);
  remove_tree(target);  // left from before a resume at an earlier step, or damaged: begin() looked
  try {
    rename_durably(temporary, target);
    folder_.set_latest(step);
  } catch (...) {
    // If only the last sync failed, `latest` names the new checkpoint, and both it and the old one stay
    // complete.
    if (folder_.latest() != step) remove_quietly(target);
    throw;
  }
}

}  // namespace headwater
