#include "hf_names.h"

#include "headwater/base/error.h"

namespace headwater {
namespace {

// Yuan 2.0. The rows of the one matrix whose halves are q_proj and k_proj are ordered [head][q | k][D]. Yuan
// activates up_proj, and Llama gate_proj; here `gate` is the one that is activated.
const std::vector<HfName>& yuan2() {
  static const std::vector<HfName> names = {
      {"embedding.weight", {"model.embed_tokens.weight"}},
      {"layers.*.attention_norm.weight", {"model.layers.*.input_layernorm.weight"}},
      {"layers.*.lfa.conv1.weight", {"model.layers.*.self_attn.lf_gate.conv1.weight"}, HfForm::convolution},
      {"layers.*.lfa.conv1.bias", {"model.layers.*.self_attn.lf_gate.conv1.bias"}},
      {"layers.*.lfa.conv2.weight", {"model.layers.*.self_attn.lf_gate.conv2.weight"}, HfForm::convolution},
      {"layers.*.lfa.conv2.bias", {"model.layers.*.self_attn.lf_gate.conv2.bias"}},
      {"layers.*.lfa.norm.weight", {"model.layers.*.self_attn.lf_gate.output_layernorm.weight"}},
      {"layers.*.attention.q.weight",
       {"model.layers.*.self_attn.q_proj.weight", "model.layers.*.self_attn.k_proj.weight"},
       HfForm::even_heads},
      {"layers.*.attention.k.weight",
       {"model.layers.*.self_attn.q_proj.weight", "model.layers.*.self_attn.k_proj.weight"},
       HfForm::odd_heads},
      {"layers.*.attention.v.weight", {"model.layers.*.self_attn.v_proj.weight"}},
      {"layers.*.attention.o.weight", {"model.layers.*.self_attn.o_proj.weight"}},
      {"layers.*.mlp_norm.weight", {"model.layers.*.post_attention_layernorm.weight"}},
      {"layers.*.mlp.gate.weight", {"model.layers.*.mlp.up_proj.weight"}},
      {"layers.*.mlp.up.weight", {"model.layers.*.mlp.gate_proj.weight"}},
      {"layers.*.mlp.down.weight", {"model.layers.*.mlp.down_proj.weight"}},
      {"final_norm.weight", {"model.norm.weight"}},
      {"head.weight", {"lm_head.weight"}},
  };
  return names;
}

}  // namespace

const std::vector<HfName>& hf_names(const std::string& family) {
  if (family == "yuan2") return yuan2();
  throw UserError("there are no Hugging Face names for model.family \"{}\", only for \"yuan2\"", family);
}

}  // namespace headwater
