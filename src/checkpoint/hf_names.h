#pragma once
// The names that the tensors of a model have in Hugging Face's folders, and their forms: one table for each
// family of models. hf_tensors.cpp makes the list of a model's tensors from its parameters and this table,
// and is the same for every family.

#include "headwater/checkpoint/hf_tensors.h"
#include "headwater/model/parameter_spec.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headwater {

// How a canonical tensor lies in the tensors of a row.
enum class HfForm : std::uint8_t {
  same,         // the same elements in the same order
  convolution,  // two taps: [out, in, tap, 1] there, [tap, out, in] here
  even_heads,   // every second block of rows, from the first, of one matrix; a block is a head
  odd_heads,    // every second block of rows, from the second
};

struct HfName {
  std::string_view canonical;  // "layers.*.attention.q.weight", where * stands for the layer's number
  // Theirs, in which * is that number too. Several are equal parts of the rows of one matrix, in this order.
  std::vector<std::string_view> tensors;
  HfForm form = HfForm::same;
};

// The tensors that hold these parameters, by the names of a family. UserError, which names the parameter,
// where the table has no row for it.
std::vector<HfTensor> hf_tensors(const std::vector<ParameterSpec>& parameters,
                                 const std::vector<HfName>& names);

// The table of a family (ModelConfig::family). UserError where there is none.
const std::vector<HfName>& hf_names(const std::string& family);

}  // namespace headwater
