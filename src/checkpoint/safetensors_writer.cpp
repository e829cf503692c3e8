#include "headwater/base/error.h"
#include "headwater/checkpoint/safetensors.h"
#include "json_reading.h"

#include <nlohmann/json.hpp>

namespace headwater {
namespace {

std::uint64_t bytes_of(const StoredTensor& tensor) {
  return static_cast<std::uint64_t>(tensor.shape.elements() * size_of(tensor.type));
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(OutputFile& out, std::vector<StoredTensor> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : out_(out), tensors_(std::move(tensors)) {
  nlohmann::json header = nlohmann::json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t end = 0;
  for (StoredTensor& tensor : tensors_) {
    HW_CHECK(!header.contains(tensor.name), "tensor {} is declared twice", tensor.name);
    tensor.offset = end;
    end += bytes_of(tensor);
    header[tensor.name] = {{"dtype", name_of(tensor.type)},
                           {"shape", shape_json(tensor.shape)},
                           {"data_offsets", {tensor.offset, end}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data begins at a multiple of 8
  const std::uint64_t length = text.size();
  write(std::as_bytes(std::span(&length, 1)));
  write(std::as_bytes(std::span(text)));
}

void SafetensorsWriter::write(TensorView tensor) {
  HW_CHECK(next_ < tensors_.size(), "{} tensors were declared and one more is written", tensors_.size());
  const StoredTensor& declared = tensors_[next_++];
  HW_CHECK(stored_type(tensor.dtype) == declared.type && tensor.elements() == declared.shape.elements() &&
               tensor.device == Device{},
           "{} was declared as {} {} and is written as {} {} on {}", declared.name, name_of(declared.type),
           to_string(declared.shape), name_of(tensor.dtype), to_string(tensor.shape), name_of(tensor.device));
  if (tensor.dense()) {
    write(std::span(static_cast<const std::byte*>(tensor.data), tensor.bytes()));
    return;
  }
  for (std::int64_t i = 0; i < tensor.rows(); ++i)
    write({static_cast<const std::byte*>(tensor.rows(i, 1).data),
           tensor.bytes() / static_cast<std::size_t>(tensor.rows())});
}

void SafetensorsWriter::finish() const {
  HW_CHECK(next_ == tensors_.size(), "{} of {} declared tensors were written", next_, tensors_.size());
}

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  out_.write(bytes);
  hash_.add(bytes);
  size_ += bytes.size();
}

void write_safetensors(const Path& path, const std::vector<NamedTensor>& tensors) {
  std::vector<StoredTensor> declared;
  for (const NamedTensor& tensor : tensors)
    declared.push_back({tensor.name, stored_type(tensor.data.dtype), tensor.data.shape});
  AtomicFile file(path);
  SafetensorsWriter writer(file.out(), std::move(declared));
  for (const NamedTensor& tensor : tensors) writer.write(tensor.data);
  writer.finish();
  file.commit();
}

}  // namespace headwater
