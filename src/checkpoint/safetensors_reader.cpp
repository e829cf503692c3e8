#include "convert.h"
#include "headwater/base/bytes.h"
#include "headwater/base/error.h"
#include "headwater/checkpoint/safetensors.h"
#include "headwater/config/json_text.h"
#include "json_reading.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace headwater {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the format's own limit

struct TypeName {
  StoredType type;
  std::string_view name;
  std::int64_t size;
};
constexpr TypeName kTypes[] = {
    {StoredType::f64, "F64", 8},         {StoredType::f32, "F32", 4},
    {StoredType::f16, "F16", 2},         {StoredType::bf16, "BF16", 2},
    {StoredType::i64, "I64", 8},         {StoredType::i32, "I32", 4},
    {StoredType::i16, "I16", 2},         {StoredType::i8, "I8", 1},
    {StoredType::u64, "U64", 8},         {StoredType::u32, "U32", 4},
    {StoredType::u16, "U16", 2},         {StoredType::u8, "U8", 1},
    {StoredType::boolean, "BOOL", 1},    {StoredType::f8_e4m3, "F8_E4M3", 1},
    {StoredType::f8_e5m2, "F8_E5M2", 1},
};

const TypeName& row_of(StoredType type) {
  return *std::find_if(std::begin(kTypes), std::end(kTypes),
                       [type](const TypeName& t) { return t.type == type; });
}

StoredType read_type(const json& value, const std::string& where) {
  const std::string name = text(value, where);
  for (const TypeName& type : kTypes)
    if (type.name == name) return type.type;
  throw UserError("{} is \"{}\"; that is no element type of safetensors", where, name);
}

std::string header_text(const MappedFile& file) {
  const std::string path = file.path().string();
  if (file.size() < kLengthBytes)
    throw UserError("{} has {} bytes; a safetensors file has at least {}", path, file.size(), kLengthBytes);
  std::uint64_t length = 0;
  std::memcpy(&length, file.bytes().data(), kLengthBytes);
  if (length > kLongestHeader)
    throw UserError(
        "{} promises a header of {} bytes, and a safetensors header has at most {}: it is not a safetensors "
        "file, or it is damaged",
        path, length, kLongestHeader);
  if (length > file.size() - kLengthBytes)
    throw UserError("{} has {} bytes, but its header alone needs {}: the file is cut", path, file.size(),
                    kLengthBytes + length);
  return std::string(as_text(file.bytes().subspan(kLengthBytes, length)));
}

struct Extent {
  std::uint64_t begin, end;
};

Extent read_extent(const json& value, const std::string& where) {
  if (!value.is_array() || value.size() != 2)
    throw UserError("{} is {}; it must be [begin, end]", where, value.dump());
  const auto begin = static_cast<std::uint64_t>(whole_number(value[0], where));
  const auto end = static_cast<std::uint64_t>(whole_number(value[1], where));
  if (begin > end) throw UserError("{} is {}; it must not end before it begins", where, value.dump());
  return {begin, end};
}

StoredTensor read_tensor(const std::string& name, const json& entry, const std::string& file) {
  const std::string where = fmt::format("tensor {} in {}", name, file);
  StoredTensor tensor;
  tensor.name = name;
  tensor.type = read_type(member(entry, "dtype", where), "the dtype of " + where);
  tensor.shape = read_shape(member(entry, "shape", where), "the shape of " + where);
  const Extent extent = read_extent(member(entry, "data_offsets", where), "data_offsets of " + where);
  const auto bytes = static_cast<std::uint64_t>(tensor.shape.elements() * size_of(tensor.type));
  if (extent.end - extent.begin != bytes)
    throw UserError("{} is {} {} and takes {} bytes, but its data_offsets span {}", where,
                    name_of(tensor.type), to_string(tensor.shape), bytes, extent.end - extent.begin);
  tensor.offset = extent.begin;
  return tensor;
}

}  // namespace

std::int64_t size_of(StoredType type) { return row_of(type).size; }
std::string_view name_of(StoredType type) { return row_of(type).name; }

StoredType stored_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return StoredType::f32;
    case DType::bf16: return StoredType::bf16;
    case DType::f64: return StoredType::f64;
    case DType::i32: return StoredType::i32;
  }
  return StoredType::f32;
}

SafetensorsReader::SafetensorsReader(const Path& path) : file_(path) {
  const std::string name = path.string(), text_of_header = header_text(file_);
  const json header = parse_json_text(text_of_header, "the header of " + name);
  if (!header.is_object())
    throw UserError("the header of {} is {}; it must be an object", name, header.type_name());
  for (const auto& [key, entry] : header.items()) {
    if (key != "__metadata__") {
      tensors_.push_back(read_tensor(key, entry, name));
      continue;
    }
    if (!entry.is_object()) throw UserError("__metadata__ of {} must be an object", name);
    for (const auto& [word, value] : entry.items()) metadata_[word] = text(value, "__metadata__ of " + name);
  }

  // The tensors must cover the data without gap or overlap, so that no byte of the file is unaccounted for.
  std::sort(tensors_.begin(), tensors_.end(), [](const StoredTensor& a, const StoredTensor& b) {
    const bool a_empty = a.shape.elements() == 0, b_empty = b.shape.elements() == 0;
    return a.offset != b.offset ? a.offset < b.offset : a_empty && !b_empty;
  });
  data_begin_ = kLengthBytes + text_of_header.size();
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const StoredTensor& tensor = tensors_[i];
    if (tensor.offset != end)
      throw UserError(
          "tensor {} in {} begins at byte {} of the data; it must begin at {}, where the one before it ends",
          tensor.name, name, tensor.offset, end);
    end += static_cast<std::uint64_t>(tensor.shape.elements() * size_of(tensor.type));
    index_[tensor.name] = i;
  }
  if (file_.size() != data_begin_ + end)
    throw UserError("{} has {} bytes, but its header promises {}: the file {}", name, file_.size(),
                    data_begin_ + end,
                    file_.size() < data_begin_ + end ? "is cut" : "has more than its tensors");
}

const StoredTensor* SafetensorsReader::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const StoredTensor& SafetensorsReader::at(std::string_view name) const {
  if (const StoredTensor* tensor = find(name)) return *tensor;
  throw UserError("{} has no tensor {}", path().string(), name);
}

std::span<const std::byte> SafetensorsReader::bytes(const StoredTensor& tensor) const {
  return file_.bytes().subspan(data_begin_ + tensor.offset,
                               static_cast<std::size_t>(tensor.shape.elements() * size_of(tensor.type)));
}

void SafetensorsReader::read(const StoredTensor& tensor, std::int64_t first, TensorView out) const {
  HW_CHECK(out.dense() && out.device == Device{}, "a safetensors file is read into dense host memory");
  HW_CHECK(first >= 0 && out.elements() <= tensor.shape.elements() - first,
           "elements [{}, {} + {}) of {}, which is {}", first, first, out.elements(), tensor.name,
           to_string(tensor.shape));
  const std::int64_t size = size_of(tensor.type);
  const auto part = bytes(tensor).subspan(static_cast<std::size_t>(first * size),
                                          static_cast<std::size_t>(out.elements() * size));
  convert_elements(tensor, path(), part, out);
}

void SafetensorsReader::read(const StoredTensor& tensor, const Slice& slice, TensorView out) const {
  HW_CHECK(lies_within(slice, tensor.shape) && out.elements() == slice.count,
           "{} of {}, which is {}, into {}", to_string(slice), tensor.name, to_string(tensor.shape),
           to_string(out.shape));
  const TensorView flat = out.reshaped({out.elements()});
  for_shared_runs(whole(tensor.shape), slice, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
    read(tensor, from, flat.rows(to, count));
  });
}

}  // namespace headwater
