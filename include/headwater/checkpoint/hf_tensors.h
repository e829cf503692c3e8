#pragma once
// How Hugging Face names, shapes and mixes the tensors of a family, beside our canonical ones: one table that
// import reads forward and export (and `gradients`) backward.
//
// Yuan 2.0's q_proj and k_proj are the two halves of one matrix whose rows run [head][q | k][D]; its up_proj
// is the half that is activated, our `gate`; its convolutions are [out, in, tap, 1].

#include "headwater/config/run_config.h"
#include "headwater/tensor/tensor_view.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace headwater {

// A block of up to three dimensions that lies in a canonical tensor and in a Hugging Face tensor; offsets and
// strides in elements.
struct HfPiece {
  std::string canonical;
  std::int64_t canonical_offset = 0, hf_offset = 0;
  std::array<std::int64_t, 3> extent{1, 1, 1}, canonical_stride{}, hf_stride{};
};

struct HfTensor {
  std::string name;
  Shape shape;
  std::vector<HfPiece> pieces;  // together all of it, once

  bool plain() const;  // the same elements in the same order as one canonical tensor
};

// In the order of the file that Hugging Face would write: by layer. `model` is resolved.
std::vector<HfTensor> hf_tensors(const ModelConfig& model);

// Moves elements between the two forms; both dense, on the host, of one dtype.
void copy_from_hf(const HfPiece& piece, TensorView hf, TensorView canonical);
void copy_to_hf(const HfPiece& piece, TensorView canonical, TensorView hf);

// Fills `out` (of the tensor's shape) from canonical tensors of the same dtype.
void assemble(const HfTensor& tensor, const std::function<TensorView(const std::string& canonical)>& find,
              TensorView out);

}  // namespace headwater
