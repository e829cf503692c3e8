#include "headwater/checkpoint/hf_tensors.h"

#include "headwater/base/error.h"
#include "headwater/nn/model_units.h"

#include "hf_names.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

namespace headwater {
namespace {

// A piece of `count` whole rows of matrices with `columns` columns (1 for vectors).
HfPiece rows(const std::string& canonical, std::int64_t canonical_row, std::int64_t hf_row,
             std::int64_t count, std::int64_t columns) {
  return {canonical,           canonical_row * columns, hf_row * columns,
          {1, count, columns}, {0, columns, 1},         {0, columns, 1}};
}

// A canonical name with the number of its layer apart.
struct NumberedName {
  std::string pattern, number;  // "layers.*.mlp.up.weight", "3"; without a layer the whole name and ""
};

constexpr std::string_view kLayers = "layers.";

NumberedName numbered(const std::string& name) {
  if (!name.starts_with(kLayers)) return {name, ""};
  const std::size_t end = name.find('.', kLayers.size());
  return {fmt::format("{}*{}", kLayers, name.substr(end)), name.substr(kLayers.size(), end - kLayers.size())};
}

std::string with_number(std::string_view pattern, const std::string& number) {
  std::string name(pattern);
  if (const std::size_t at = name.find('*'); at != std::string::npos) name.replace(at, 1, number);
  return name;
}

// The block of a canonical name or pattern: "layers.*.mlp." of "layers.*.mlp.up.weight".
std::string_view block_of(std::string_view name) {
  std::size_t end = name.find('.');
  if (name.starts_with(kLayers)) end = name.find('.', name.find('.', end + 1) + 1);
  return name.substr(0, end + 1);
}

// Throws UserError where the model has one parameter of a block but not another that the family's has: such a
// model is none of the family, though each of its parameters has a name.
void check_whole_blocks(const std::vector<ParameterSpec>& parameters, const std::vector<HfName>& names) {
  std::set<std::string> known;
  for (const ParameterSpec& parameter : parameters) known.insert(parameter.name);
  for (const ParameterSpec& parameter : parameters) {
    const NumberedName name = numbered(parameter.name);
    for (const HfName& row : names)
      if (const std::string other = with_number(row.canonical, name.number);
          block_of(row.canonical) == block_of(name.pattern) && !known.contains(other))
        throw UserError("this model has {}, but not {}, which Hugging Face's models of this family have too",
                        parameter.name, other);
  }
}

// The tensors of a model as one parameter after the other adds its pieces to them.
class HfTensorList {
 public:
  void add(const ParameterSpec& parameter, const HfName& row, const std::string& number) {
    std::vector<std::size_t> parts;
    for (const std::string_view pattern : row.tensors)
      parts.push_back(index_of(with_number(pattern, number), shape_in(parameter, row), parameter));
    const std::int64_t columns = parameter.shape.row_elements();
    switch (row.form) {
      case HfForm::same: {
        const std::int64_t each = tensors_[parts.front()].shape[0];
        for (std::int64_t first = 0; first < parameter.shape[0]; first += each)
          add_rows(parts, rows(parameter.name, first, first, each, columns));
        return;
      }
      case HfForm::even_heads: return add_heads(parameter, parts, 0);
      case HfForm::odd_heads: return add_heads(parameter, parts, 1);
      case HfForm::convolution: {
        const std::int64_t out = parameter.shape[1], in = parameter.shape[2];
        tensors_[parts.front()].pieces.push_back(
            {parameter.name, 0, 0, {2, out, in}, {out * in, in, 1}, {1, 2 * in, 2}});
        return;
      }
    }
    throw InternalError("no form {}", static_cast<int>(row.form));
  }

  std::vector<HfTensor> take() { return std::move(tensors_); }

 private:
  // The shape of each of the row's tensors.
  static Shape shape_in(const ParameterSpec& parameter, const HfName& row) {
    const Shape& shape = parameter.shape;
    if (row.form == HfForm::convolution) {
      HW_CHECK(shape.rank() == 3 && shape[0] == 2, "{} {} is no convolution of two taps", parameter.name,
               to_string(shape));
      return {shape[1], shape[2], 2, 1};
    }
    const auto parts = static_cast<std::int64_t>(row.tensors.size());
    const std::int64_t all = row.form == HfForm::same ? shape[0] : 2 * shape[0];
    HW_CHECK(all % parts == 0, "{} {} does not lie in {} equal tensors", parameter.name, to_string(shape),
             parts);
    return shape.with_first(all / parts);
  }

  // The index of the tensor of that name, which is made where it is named first.
  std::size_t index_of(const std::string& name, const Shape& shape, const ParameterSpec& parameter) {
    const auto known =
        std::ranges::find_if(tensors_, [&](const HfTensor& tensor) { return tensor.name == name; });
    if (known == tensors_.end()) {
      tensors_.push_back({name, shape, {}});
      return tensors_.size() - 1;
    }
    if (known->shape != shape)
      throw UserError("{} {} cannot lie in Hugging Face's {}, which is {} by the parameter before it",
                      parameter.name, to_string(parameter.shape), name, to_string(known->shape));
    return static_cast<std::size_t>(known - tensors_.begin());
  }

  // Adds a piece, whose place is given in the whole matrix, to the part of the matrix in which it lies.
  void add_rows(const std::vector<std::size_t>& parts, HfPiece piece) {
    const std::int64_t each = tensors_[parts.front()].shape.elements();
    const std::int64_t last = piece.hf_offset + piece.extent[1] * piece.extent[2] - 1;
    HW_CHECK(piece.hf_offset / each == last / each, "{} lies across two tensors", piece.canonical);
    HfTensor& tensor = tensors_[parts[static_cast<std::size_t>(piece.hf_offset / each)]];
    piece.hf_offset %= each;
    tensor.pieces.push_back(std::move(piece));
  }

  void add_heads(const ParameterSpec& parameter, const std::vector<std::size_t>& parts, std::int64_t first) {
    const std::int64_t size = parameter.split.unit, columns = parameter.shape.row_elements();
    for (std::int64_t head = 0; head < parameter.shape[0] / size; ++head)
      add_rows(parts, rows(parameter.name, head * size, (2 * head + first) * size, size, columns));
  }

  std::vector<HfTensor> tensors_;
};

// Copies a piece of elements of `element` bytes. Offsets and strides are those of the piece in `from` and in
// `to`.
void copy_piece(const HfPiece& piece, std::size_t element, const void* from, std::int64_t from_offset,
                const std::array<std::int64_t, 3>& from_stride, void* to, std::int64_t to_offset,
                const std::array<std::int64_t, 3>& to_stride) {
  const auto size = static_cast<std::int64_t>(element);
  const auto* source = static_cast<const std::byte*>(from) + from_offset * size;
  auto* target = static_cast<std::byte*>(to) + to_offset * size;
  for (std::int64_t i = 0; i < piece.extent[0]; ++i) {
    for (std::int64_t j = 0; j < piece.extent[1]; ++j) {
      const auto* in = source + (i * from_stride[0] + j * from_stride[1]) * size;
      auto* out = target + (i * to_stride[0] + j * to_stride[1]) * size;
      if (from_stride[2] == 1 && to_stride[2] == 1) {
        std::memcpy(out, in, element * static_cast<std::size_t>(piece.extent[2]));
        continue;
      }
      for (std::int64_t k = 0; k < piece.extent[2]; ++k)
        std::memcpy(out + k * to_stride[2] * size, in + k * from_stride[2] * size, element);
    }
  }
}

void check_pair(const TensorView& hf, const TensorView& canonical) {
  HW_CHECK(hf.dense() && canonical.dense() && hf.dtype == canonical.dtype && hf.device == Device{} &&
               canonical.device == Device{},
           "{} {} and {} {} are not of one form", name_of(hf.dtype), to_string(hf.shape),
           name_of(canonical.dtype), to_string(canonical.shape));
}

}  // namespace

bool HfTensor::plain() const {
  return pieces.size() == 1 && pieces[0].canonical_stride == pieces[0].hf_stride;
}

std::vector<HfTensor> hf_tensors(const std::vector<ParameterSpec>& parameters,
                                 const std::vector<HfName>& names) {
  HfTensorList list;
  for (const ParameterSpec& parameter : parameters) {
    const NumberedName name = numbered(parameter.name);
    const auto row =
        std::ranges::find_if(names, [&](const HfName& known) { return known.canonical == name.pattern; });
    if (row == names.end())
      throw UserError("this family has no Hugging Face name for the parameter {}", parameter.name);
    list.add(parameter, *row, name.number);
  }
  check_whole_blocks(parameters, names);
  return list.take();
}

std::vector<HfTensor> hf_tensors(const ModelConfig& model) {
  return hf_tensors(parameters(expand(model)), hf_names(model.family));
}

void copy_from_hf(const HfPiece& piece, TensorView hf, TensorView canonical) {
  check_pair(hf, canonical);
  copy_piece(piece, size_of(hf.dtype), hf.data, piece.hf_offset, piece.hf_stride, canonical.data,
             piece.canonical_offset, piece.canonical_stride);
}

void copy_to_hf(const HfPiece& piece, TensorView canonical, TensorView hf) {
  check_pair(hf, canonical);
  copy_piece(piece, size_of(hf.dtype), canonical.data, piece.canonical_offset, piece.canonical_stride,
             hf.data, piece.hf_offset, piece.hf_stride);
}

void assemble(const HfTensor& tensor, const std::function<TensorView(const std::string&)>& find,
              TensorView out) {
  HW_CHECK(out.shape == tensor.shape, "{} is {}, not {}", tensor.name, to_string(tensor.shape),
           to_string(out.shape));
  for (const HfPiece& piece : tensor.pieces) copy_to_hf(piece, find(piece.canonical), out);
}

}  // namespace headwater
