#pragma once
// The description that a unit of a model (the embedding, a layer, the head) gives of itself: its parameters,
// the tensors that it writes while it computes one micro-batch, the arrays of the micro-batch that it reads,
// its constants, and what it remembers in generation.
//
// The blocks of a unit say it in their constructors, one after the other, and keep the numbers (ids) by which
// their forward and backward find what they declared: in a BlockContext (block.h), in the lists here, and in
// the memory that is laid out by them. So nothing is declared in one place and looked up by name in another,
// and everybody who counts parameters, bytes or messages of a unit reads this without asking what is in it.

#include "headwater/model/activation_spec.h"
#include "headwater/model/parameter_spec.h"
#include "headwater/tensor/tensor_view.h"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace headwater {

// Where a unit stands. `model` must outlive the constructor that reads it, no longer.
struct UnitSite {
  const ModelSpec& model;
  int unit = 0;  // model_spec.h numbers them
  Sharding sharding = {};
  BatchShape batch = {};  // of no tokens where only parameters are asked for
  Precision precision = {};
  Device::Kind device = Device::Kind::cpu;
  std::int64_t cached_tokens = 0;  // generation: tokens that a layer's caches have room for
  // Whether the residual stream in front of the unit, or its gradient behind the unit, comes from another
  // stage. It then lies in that message's buffer, and the unit declares no tensor for it.
  bool receives_input = false, receives_gradient = false;
};

// Numbers of what a unit declared, each in its own list; −1: absent.
struct ParameterId {
  int index = -1;
};
struct ProductId {
  int index = -1;
};
struct TensorId {
  int index = -1;
  explicit operator bool() const { return index >= 0; }
};
struct ConstantId {
  int index = -1;
};
struct CacheId {
  int index = -1;
};

// How the ranks that share a layer hold one of its parameters.
struct ParameterCut {
  Split split;                    // of dimension −1: each holds the whole
  bool sees_token_shard = false;  // whole, and each sees a part of the tokens: gradients are summed
  std::int64_t repeat = 1;        // neighbours that hold the same part (KV heads)

  static ParameterCut whole() { return {}; }
  static ParameterCut along(int dimension, std::int64_t unit = 1) { return {{dimension, unit, 1}, false, 1}; }
};

// A linear's weight: the parameters `first` … `last`, which lie side by side, as one matrix. All of them are
// trained, or none is.
struct ProductSpec {
  std::string name;  // "mlp.gate_up", as benchmarks print it
  std::string first, last;
  bool trained = true;
};

// A tensor that is computed once, on the host, and the same for all units that give it the same name.
struct ConstantSpec {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;
  std::function<void(TensorView host)> fill;  // of the dtype, dense
};

// A tensor, in the compute dtype, in which a unit remembers earlier tokens in generation.
struct CacheSpec {
  std::string name;
  Shape shape;
};

// A number of equal parts that tensor ranks share out: they must divide it, or, where `repeats` is set, be a
// multiple of it.
struct SharedOut {
  std::string what;  // "model.num_attention_heads"
  std::int64_t parts = 0;
  bool repeats = false;
  bool fits(std::int64_t ranks) const { return parts % ranks == 0 || (repeats && ranks % parts == 0); }
};

// The arrays of a micro-batch (data/batch.h says what they mean, but for the keys of the dropout masks).
enum class BatchArray : std::uint8_t { tokens, labels, position, attention_start, lfa_start, dropout_keys };

class UnitDescription {
 public:
  explicit UnitDescription(const UnitSite& site);

  int unit() const { return unit_; }
  const Sharding& sharding() const { return sharding_; }
  BatchShape batch() const { return batch_; }
  std::int64_t tokens() const { return batch_.tokens(); }                                // T
  std::int64_t local_tokens() const { return sharding_.local_tokens(batch_.tokens()); }  // of this rank
  DType compute() const { return precision_.compute; }
  DType accumulate() const { return precision_.accumulate; }
  bool several() const { return sharding_.tensor > 1; }                // ranks share the unit
  bool tokens_are_cut() const { return sharding_.sequence_parallel; }  // among them
  std::int64_t cached_tokens() const { return cached_tokens_; }

  // ---- for the blocks

  // `name` is the model's ("layers.3.mlp.up.weight"). Weight decay applies to matrices.
  ParameterId parameter(std::string name, Shape shape, Init init, const ParameterCut& cut);
  // It follows its predecessor in memory without a gap. Both are trained, or neither is.
  void join(ParameterId id);
  void tie_to_head(ParameterId id);  // the head multiplies by it too
  ProductId product(std::string name, ParameterId first, ParameterId last);
  ProductId product(std::string name, ParameterId one) { return product(std::move(name), one, one); }
  ProductId product(std::string name, const std::string& parameter_of_another_unit);
  bool trained(ProductId id) const { return products_.at(static_cast<std::size_t>(id.index)).trained; }

  TensorId forward_tensor(std::string name, Shape shape, DType dtype, Kept kept,
                          Dropped dropped = Dropped::by_full);
  TensorId backward_tensor(std::string name, Shape shape, DType dtype, Kept kept);
  // The unit's own tensor "input" of the residual stream in front of it; absent where another stage sends it.
  TensorId input_tensor(std::int64_t hidden);
  // A weight gradient reads the tensor, which therefore lives at least until then.
  void keep_until_weight_gradient(TensorId id);
  // The product reads the tensor, and so does its weight gradient, if it has one; or, where tokens are cut,
  // what backward gathers again.
  void keep_for_product(TensorId id, ProductId product) {
    if (!tokens_are_cut() && trained(product)) keep_until_weight_gradient(id);
  }
  // How long a tensor must be kept that the product's weight gradient reads: `otherwise` where the product
  // has none.
  Kept kept_for(ProductId product, Kept otherwise = Kept::scratch) const {
    return trained(product) ? Kept::until_weight_gradient : otherwise;
  }

  ConstantId constant(ConstantSpec spec);
  CacheId cache(std::string name, Shape shape);
  void reads(BatchArray array) { batch_arrays_.insert(array); }
  void share_out(SharedOut shared) { shared_out_.push_back(std::move(shared)); }

  // ---- for everybody else

  // A description that ends with the expression gives its list away, so that a loop may go over it.
  const std::vector<ParameterSpec>& parameters() const& { return parameters_; }
  std::vector<ParameterSpec> parameters() && { return std::move(parameters_); }
  const std::vector<ProductSpec>& products() const& { return products_; }
  std::vector<ProductSpec> products() && { return std::move(products_); }
  const std::vector<ActivationSpec>& tensors() const& { return tensors_; }
  std::vector<ActivationSpec> tensors() && { return std::move(tensors_); }
  const std::vector<ConstantSpec>& constants() const& { return constants_; }
  std::vector<ConstantSpec> constants() && { return std::move(constants_); }
  const std::vector<CacheSpec>& caches() const& { return caches_; }
  std::vector<CacheSpec> caches() && { return std::move(caches_); }
  const std::set<BatchArray>& batch_arrays() const& { return batch_arrays_; }
  std::set<BatchArray> batch_arrays() && { return std::move(batch_arrays_); }
  const std::vector<SharedOut>& shared_out() const& { return shared_out_; }
  std::vector<SharedOut> shared_out() && { return std::move(shared_out_); }

 private:
  bool is_frozen(const std::string& parameter) const;

  int unit_;
  Sharding sharding_;
  BatchShape batch_;
  Precision precision_;
  std::int64_t cached_tokens_;
  bool receives_input_;
  std::vector<std::string> frozen_;  // names of parameters that are not trained
  std::vector<ParameterSpec> parameters_;
  std::vector<ProductSpec> products_;
  std::vector<ActivationSpec> tensors_;
  std::vector<ConstantSpec> constants_;
  std::vector<CacheSpec> caches_;
  std::set<BatchArray> batch_arrays_;
  std::vector<SharedOut> shared_out_;
};

}  // namespace headwater
