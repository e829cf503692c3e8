#pragma once
// The tensors of a Hugging Face folder, and where each of their elements stands in the canonical tensors
// (model/parameter_spec.h). Import reads this table in one direction; export and `gradients` read it in the
// other. src/checkpoint/hf_names.cpp has each family's names.

#include "headwater/config/run_config.h"
#include "headwater/tensor/tensor_view.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace headwater {

// A block of up to three dimensions that a canonical tensor and a Hugging Face tensor have in common.
// Offsets and strides are in elements.
struct HfPiece {
  std::string canonical;
  std::int64_t canonical_offset = 0, hf_offset = 0;
  std::array<std::int64_t, 3> extent{1, 1, 1}, canonical_stride{}, hf_stride{};
};

struct HfTensor {
  std::string name;
  Shape shape;
  std::vector<HfPiece> pieces;  // each element of the tensor is in exactly one

  // Whether the tensor has the same elements in the same order as one canonical tensor.
  bool plain() const;
};

// Returns the tensors of a resolved model, in the order of the canonical ones. UserError where its family has
// no name for a parameter.
std::vector<HfTensor> hf_tensors(const ModelConfig& model);

// Copy a piece's elements from one form to the other. Both tensors must be dense, on the host and of one
// dtype.
void copy_from_hf(const HfPiece& piece, TensorView hf, TensorView canonical);
void copy_to_hf(const HfPiece& piece, TensorView canonical, TensorView hf);

// Fills `out`, which has the tensor's shape, from canonical tensors of the same dtype. `find` returns the
// one of a name.
void assemble(const HfTensor& tensor, const std::function<TensorView(const std::string& canonical)>& find,
              TensorView out);

}  // namespace headwater
