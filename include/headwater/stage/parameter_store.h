#pragma once
// The parameters of one rank in its arena, at the offsets of a ParameterLayout: weights in compute dtype and
// gradients, whole; fp32 master weights (the weights themselves where both formats are one) and moments of
// what this rank updates. What is not trained has its weights alone, which lie behind all others.
//
// After an update weights may still be on their way from the ranks that made them: wait_for_weights() waits
// for those that a unit reads. Whoever reads weights calls it first. Blocks look their tensors up once, at
// start-up. Belongs to the compute thread.

#include "headwater/layout/parameter_layout.h"
#include "headwater/nn/block.h"
#include "headwater/tensor/arena.h"

#include <string_view>
#include <vector>

namespace headwater {

// Elements [begin, begin + count) of a flat tensor.
TensorView range_of(TensorView flat, std::int64_t begin, std::int64_t count);
inline TensorView range_of(TensorView flat, Range range) { return range_of(flat, range.begin, range.size()); }

class ParameterStore {
 public:
  ParameterStore(const ParameterLayout& layout, Arena& arena, Precision precision, bool training);
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  const ParameterLayout& layout() const { return layout_; }
  bool has(std::string_view name) const;
  const ParameterPlace& place(std::string_view name) const;

  // Shaped views of one parameter, as held here.
  TensorView weight(std::string_view name) const;
  TensorView gradient(std::string_view name) const;  // empty without training, and of what is not trained
  // The product with the joined parameters `first` … `last` as one [ΣN, K] matrix; a convolution [2, N, K] is
  // [2N, K].
  Linear linear(std::string_view first, std::string_view last) const;
  Linear linear(std::string_view name) const { return linear(name, name); }

  // Flat: weights of all elements, gradients of those that are trained (empty where none is).
  TensorView weights() const { return weights_; }
  TensorView gradients() const { return gradients_; }
  // Flat; where the optimizer is sharded these hold what this rank updates only (masters that are the
  // weights: all).
  TensorView masters() const { return masters_; }
  TensorView first_moments() const { return first_moments_; }
  TensorView second_moments() const { return second_moments_; }

  // Returns the elements [begin, end) of the layout out of a flat tensor, be it one of all elements or one of
  // those that this rank updates. This rank must update them, and one bucket must hold them.
  TensorView updated(TensorView flat, Range elements) const;
  // Returns the elements of one parameter that this rank updates.
  TensorView updated(TensorView flat, const ParameterPlace& place) const {
    return updated(flat, {place.offset + place.updated.begin, place.offset + place.updated.end});
  }
  // Returns the elements of one parameter, without padding, out of a flat tensor of all elements.
  TensorView part(TensorView flat, const ParameterPlace& place) const {
    return range_of(flat, place.offset, place.slice().count);
  }

  // Fills weights and masters of one parameter, but for padding, from dense host memory.
  void set_weights(Backend& backend, const ParameterPlace& place, TensorView host);
  // Does the same with fewer numbers than the parameter has elements, repeated.
  void repeat_weights(Backend& backend, const ParameterPlace& place, TensorView host);

  // The weights of a bucket are new once `ready` is done.
  void weights_ready_after(std::size_t bucket, Event ready);
  void wait_for_weights(Backend& backend, int unit);  // those that this unit's passes read
  void wait_for_weights(Backend& backend);            // all
  bool weights_arrived(int unit) const;               // wait_for_weights() has nothing to do

 private:
  struct Coming {
    bool due = false;
    Event ready;
  };
  bool has_masters(const ParameterPlace& place) const;
  void wait_for_bucket(Backend& backend, std::size_t bucket);
  TensorView shaped(TensorView flat, const ParameterPlace& place) const;

  ParameterLayout layout_;
  TensorView weights_, masters_, gradients_, first_moments_, second_moments_;
  std::vector<Coming> coming_;  // by bucket
};

// Between dense tensors of the host and of the device, whatever their dtypes.
void upload(Backend& backend, TensorView host, TensorView device);
void download(Backend& backend, TensorView device, TensorView host);

}  // namespace headwater
