#include "headwater/checkpoint/hf_tensors.h"

#include "headwater/base/error.h"
#include "headwater/model/model_spec.h"

#include <cstring>

namespace headwater {
namespace {

// A piece of `count` whole rows of matrices with `columns` columns (1 for vectors).
HfPiece rows(const std::string& canonical, std::int64_t canonical_row, std::int64_t hf_row,
             std::int64_t count, std::int64_t columns) {
  return {canonical,           canonical_row * columns, hf_row * columns,
          {1, count, columns}, {0, columns, 1},         {0, columns, 1}};
}

HfTensor same(std::string name, const std::string& canonical, Shape shape) {
  return {std::move(name), shape, {rows(canonical, 0, 0, shape[0], shape.row_elements())}};
}

// A convolution of two taps: [out, in, tap, 1] in Hugging Face's form, [tap, out, in] in the canonical form.
HfTensor convolution(std::string name, const std::string& canonical, std::int64_t out, std::int64_t in) {
  HfPiece piece{canonical, 0, 0, {2, out, in}, {out * in, in, 1}, {1, 2 * in, 2}};
  return {std::move(name), {out, in, 2, 1}, {std::move(piece)}};
}

// Yuan's q_proj and k_proj are the first and the second half of the rows of one matrix, which are ordered
// [head][q | k][D].
void add_query_and_key(const LayerSpec& layer, const std::string& canonical, const std::string& hf,
                       std::vector<HfTensor>& tensors) {
  const std::int64_t width = layer.query_width(), size = layer.head_dim;
  HfTensor halves[2] = {{hf + "q_proj.weight", {width, layer.hidden}, {}},
                        {hf + "k_proj.weight", {width, layer.hidden}, {}}};
  for (std::int64_t head = 0; head < layer.heads; ++head) {
    for (const char* part : {"q", "k"}) {
      const std::int64_t row = (2 * head + (*part == 'k' ? 1 : 0)) * size;  // in the one matrix
      halves[row / width].pieces.push_back(
          rows(fmt::format("{}{}.weight", canonical, part), head * size, row % width, size, layer.hidden));
    }
  }
  for (HfTensor& half : halves) tensors.push_back(std::move(half));
}

void add_yuan_layer(const LayerSpec& layer, std::size_t number, std::vector<HfTensor>& tensors) {
  const std::string ours = fmt::format("layers.{}.", number), hf = fmt::format("model.layers.{}.", number);
  const std::int64_t hidden = layer.hidden, channels = hidden / 2;
  tensors.push_back(same(hf + "input_layernorm.weight", ours + "attention_norm.weight", {hidden}));
  if (layer.filter == FilterKind::lfa) {
    const std::string filter = hf + "self_attn.lf_gate.";
    tensors.push_back(convolution(filter + "conv1.weight", ours + "lfa.conv1.weight", channels, hidden));
    tensors.push_back(same(filter + "conv1.bias", ours + "lfa.conv1.bias", {channels}));
    tensors.push_back(convolution(filter + "conv2.weight", ours + "lfa.conv2.weight", hidden, channels));
    tensors.push_back(same(filter + "conv2.bias", ours + "lfa.conv2.bias", {hidden}));
    tensors.push_back(same(filter + "output_layernorm.weight", ours + "lfa.norm.weight", {hidden}));
  }
  add_query_and_key(layer, ours + "attention.", hf + "self_attn.", tensors);
  tensors.push_back(
      same(hf + "self_attn.v_proj.weight", ours + "attention.v.weight", {layer.key_width(), hidden}));
  tensors.push_back(
      same(hf + "self_attn.o_proj.weight", ours + "attention.o.weight", {hidden, layer.query_width()}));
  tensors.push_back(same(hf + "post_attention_layernorm.weight", ours + "mlp_norm.weight", {hidden}));
  // Yuan activates up_proj, and Llama gate_proj. Here `gate` is the one that is activated.
  tensors.push_back(same(hf + "mlp.up_proj.weight", ours + "mlp.gate.weight", {layer.ffn, hidden}));
  tensors.push_back(same(hf + "mlp.gate_proj.weight", ours + "mlp.up.weight", {layer.ffn, hidden}));
  tensors.push_back(same(hf + "mlp.down_proj.weight", ours + "mlp.down.weight", {hidden, layer.ffn}));
}

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

std::vector<HfTensor> hf_tensors(const ModelConfig& model) {
  HW_CHECK(model.family == "yuan2", "no Hugging Face names for the family \"{}\"", model.family);
  const ModelSpec spec = expand(model);
  std::vector<HfTensor> tensors{
      same("model.embed_tokens.weight", "embedding.weight", {spec.vocabulary, spec.hidden})};
  for (std::size_t i = 0; i < spec.layers.size(); ++i) add_yuan_layer(spec.layers[i], i, tensors);
  tensors.push_back(same("model.norm.weight", "final_norm.weight", {spec.hidden}));
  if (!spec.tied) tensors.push_back(same("lm_head.weight", "head.weight", {spec.vocabulary, spec.hidden}));
  return tensors;
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
