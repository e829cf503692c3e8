#pragma once
// The safetensors format: a header of JSON, then the tensors' bytes (docs/formats/checkpoint.md).
//
// A reader maps its file and checks the whole header, so that a file that opens is complete. Any thread may
// read its tensors. A writer streams to an OutputFile that its caller owns, syncs and closes.

#include "headwater/base/file.h"
#include "headwater/base/hash.h"
#include "headwater/tensor/slice.h"
#include "headwater/tensor/tensor_view.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

// All element types of the format. A file may have tensors of types that Headwater cannot convert; they
// cannot be read.
enum class StoredType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  f8_e4m3,
  f8_e5m2
};

std::int64_t size_of(StoredType type);
std::string_view name_of(StoredType type);  // "F32", as in the file
StoredType stored_type(DType dtype);

struct StoredTensor {
  std::string name;
  StoredType type = StoredType::f32;
  Shape shape;
  std::uint64_t offset = 0;  // its first byte, counted from the start of the data
};

class SafetensorsReader {
 public:
  // Throws UserError if the header is cut or wrong, or if the file is shorter or longer than the header says.
  explicit SafetensorsReader(const Path& path);

  const Path& path() const { return file_.path(); }
  std::uint64_t size() const { return file_.size(); }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }  // in the order of their data
  const StoredTensor* find(std::string_view name) const;                 // null if there is none
  const StoredTensor& at(std::string_view name) const;                   // UserError if there is none
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  std::span<const std::byte> bytes(const StoredTensor& tensor) const;

  // Reads elements [first, first + out.elements()), in row order, into the dense host tensor `out`. Any
  // number is converted to f32, bf16 or f64, and whole numbers to i32. Throws UserError if a number does not
  // fit i32.
  void read(const StoredTensor& tensor, std::int64_t first, TensorView out) const;
  void read(const StoredTensor& tensor, const Slice& slice, TensorView out) const;

 private:
  MappedFile file_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
  std::uint64_t data_begin_ = 0;
};

class SafetensorsWriter {
 public:
  // Writes the header. `tensors` declares what will be written; their offsets are computed here.
  SafetensorsWriter(OutputFile& out, std::vector<StoredTensor> tensors,
                    const std::map<std::string, std::string>& metadata = {});

  // Writes the next declared tensor, which must be on the host and have the declared type and number of
  // elements.
  void write(TensorView tensor);
  void finish() const;  // checks that everything declared has been written

  std::uint64_t size() const { return size_; }  // bytes written so far, which hash() covers
  std::uint64_t hash() const { return hash_.digest(); }

 private:
  void write(std::span<const std::byte> bytes);

  OutputFile& out_;
  std::vector<StoredTensor> tensors_;
  std::size_t next_ = 0;
  ContentHash hash_;
  std::uint64_t size_ = 0;
};

struct NamedTensor {
  std::string name;
  TensorView data;
};

// Writes a whole file, atomically.
void write_safetensors(const Path& path, const std::vector<NamedTensor>& tensors);

}  // namespace headwater
