#pragma once
// The parameters of one rank in its arena: weights in compute dtype, fp32 master weights (the weights themselves where
// both formats are one), gradients and moments, all with the element offsets of a ParameterLayout.
//
// Owns the `Weight`s that linears multiply by; refresh() brings their prepared forms up to date after an update. Blocks
// look their tensors up once, at start-up. Belongs to the compute thread.

#include "headwater/backend/backend.h"
#include "headwater/layout/arena_layout.h"
#include "headwater/tensor/arena.h"

#include <deque>
#include <string_view>

namespace headwater {

// One product's weight [N, K] and where its gradient goes (empty without training).
struct Linear {
  const Weight* weight = nullptr;
  TensorView gradient;
};

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
  TensorView master(std::string_view name) const;
  TensorView gradient(std::string_view name) const;  // empty without training
  // The product with the joined parameters `first` … `last` as one [ΣN, K] matrix; a convolution [2, N, K] is [2N, K].
  Linear linear(std::string_view first, std::string_view last);
  Linear linear(std::string_view name) { return linear(name, name); }

  // Flat, all elements.
  TensorView weights() const { return weights_; }
  TensorView masters() const { return masters_; }
  TensorView gradients() const { return gradients_; }
  TensorView first_moments() const { return first_moments_; }
  TensorView second_moments() const { return second_moments_; }

  // One parameter's canonical elements between the host (dense f32, padding left out) and flat storage here: `flat` is
  // masters(), first_moments(), ….
  void to_device(Backend& backend, TensorView flat, const ParameterPlace& place, TensorView host) const;
  void to_host(Backend& backend, TensorView flat, const ParameterPlace& place, TensorView host) const;
  void refresh(Backend& backend);                 // prepared forms from the weights
  void weights_from_masters(Backend& backend);    // then refreshes

 private:
  TensorView part(TensorView flat, const ParameterPlace& place) const;

  ParameterLayout layout_;
  TensorView weights_, masters_, gradients_, first_moments_, second_moments_;
  std::deque<Weight> linears_;
};

// Elements [begin, begin + count) of a flat tensor.
TensorView range_of(TensorView flat, std::int64_t begin, std::int64_t count);

}  // namespace headwater
