#pragma once
// Every parameter of a model: its global name and shape, how a rank's shard is cut, over which axes its
// gradient is summed, how it is initialised. The engine allocates by this list, the checkpoint stores by it,
// the planner counts it.
//
// Canonical tensors are unfused (q, k, v, gate, up; an LFA convolution as [tap, out, in], tap 0 the previous
// token) and unpadded. Fused products come from `joined`: such a tensor follows its predecessor in memory
// without a gap, so that [q; k; v] or [gate; up] is one matrix.

#include "headwater/model/axis.h"
#include "headwater/model/model_spec.h"
#include "headwater/tensor/slice.h"

#include <string>
#include <vector>

namespace headwater {

// A shard is one contiguous range of one dimension, in whole units (a head's D rows, say). In memory that
// dimension is padded to a multiple of `pad_multiple` × ranks (the vocabulary; elsewhere 1, and it must
// divide). Where there are fewer units than ranks (KV heads), neighbouring ranks hold the same one.
struct Split {
  int dimension = -1;  // −1: every rank that shares the layer holds the whole
  std::int64_t unit = 1;
  std::int64_t pad_multiple = 1;
};

struct Init {
  enum class Kind : std::uint8_t { ones, zeros, normal, uniform };
  Kind kind = Kind::zeros;
  double scale = 0.0;  // standard deviation of `normal`, bound of `uniform`
};

struct ParameterSpec {
  std::string name;           // "layers.3.attention.q.weight"
  Shape shape;                // global
  int unit = 0;               // the unit it belongs to (model_spec.h)
  bool tied_to_head = false;  // also used, and held, where the head is
  Split split;                // over kTensorAxes
  bool joined = false;
  // its gradient is summed over these axes (data; tensor too for gains under sequence parallelism)
  AxisSet reduced_over;
  AxisSet replicated_on;  // these axes hold equal copies: its norm counts once over them
  Init init;
  bool decays = false;  // weight decay: two or more dimensions
  bool trained = true;  // otherwise it has no gradient, no master and no moments, and never changes

  std::int64_t elements() const { return shape.elements(); }
};

// A rank's part of a parameter, and the shape that it has in memory, padding included.
struct ParameterShard {
  Box box;
  Shape local;
};
// `tensor_rank` numbers the ranks that share the parameter's unit.
ParameterShard parameter_shard(const ParameterSpec& spec, const Sharding& sharding, int tensor_rank);

}  // namespace headwater
