#include "headwater/nn/unit_description.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <utility>

namespace headwater {
namespace {

// The index of the last one.
template <class T>
int last_of(const std::vector<T>& list) {
  return static_cast<int>(list.size()) - 1;
}

// The names of the unit's parameters that are not trained. The embedding's are among those of the head too,
// which may multiply by it.
std::vector<std::string> frozen_names(const UnitSite& site) {
  if (!site.model.is_layer(site.unit)) return site.model.frozen;
  std::vector<std::string> names = site.model.layers.at(static_cast<std::size_t>(site.unit) - 1).frozen;
  for (std::string& name : names) name.insert(0, layer_prefix(site.unit - 1));
  return names;
}

}  // namespace

UnitDescription::UnitDescription(const UnitSite& site)
    : unit_(site.unit),
      sharding_(site.sharding),
      batch_(site.batch),
      precision_(site.precision),
      cached_tokens_(site.cached_tokens),
      receives_input_(site.receives_input),
      frozen_(frozen_names(site)) {}

bool UnitDescription::is_frozen(const std::string& parameter) const {
  return std::ranges::find(frozen_, parameter) != frozen_.end();
}

ParameterId UnitDescription::parameter(std::string name, Shape shape, Init init, const ParameterCut& cut) {
  ParameterSpec spec;
  spec.name = std::move(name);
  spec.shape = shape;
  spec.unit = unit_;
  spec.split = cut.split;
  spec.reduced_over = {Axis::context, Axis::data};
  spec.replicated_on = {Axis::context, Axis::data};
  if (cut.split.dimension < 0) {
    spec.replicated_on = spec.replicated_on | kTensorAxes;
    if (cut.sees_token_shard && several()) spec.reduced_over = spec.reduced_over | kTensorAxes;
  } else if (cut.repeat > 1) {
    spec.reduced_over = spec.reduced_over | AxisSet{Axis::repeat};
    spec.replicated_on = spec.replicated_on | AxisSet{Axis::repeat};
  }
  spec.init = init;
  spec.decays = shape.rank() >= 2;
  spec.trained = !is_frozen(spec.name);
  parameters_.push_back(std::move(spec));
  return {last_of(parameters_)};
}

void UnitDescription::join(ParameterId id) {
  ParameterSpec& spec = parameters_.at(static_cast<std::size_t>(id.index));
  const ParameterSpec& before = parameters_.at(static_cast<std::size_t>(id.index) - 1);
  HW_CHECK(spec.trained == before.trained, "{} is joined to {}, but only one of them is trained", spec.name,
           before.name);
  spec.joined = true;
}

void UnitDescription::tie_to_head(ParameterId id) {
  parameters_.at(static_cast<std::size_t>(id.index)).tied_to_head = true;
}

ProductId UnitDescription::product(std::string name, ParameterId first, ParameterId last) {
  for (int i = first.index + 1; i <= last.index; ++i)
    HW_CHECK(parameters_.at(static_cast<std::size_t>(i)).joined,
             "{} is part of the product {}, but not joined", parameters_[static_cast<std::size_t>(i)].name,
             name);
  products_.push_back({std::move(name), parameters_.at(static_cast<std::size_t>(first.index)).name,
                       parameters_.at(static_cast<std::size_t>(last.index)).name,
                       parameters_.at(static_cast<std::size_t>(last.index)).trained});
  return {last_of(products_)};
}

ProductId UnitDescription::product(std::string name, const std::string& parameter_of_another_unit) {
  products_.push_back({std::move(name), parameter_of_another_unit, parameter_of_another_unit,
                       !is_frozen(parameter_of_another_unit)});
  return {last_of(products_)};
}

TensorId UnitDescription::forward_tensor(std::string name, Shape shape, DType dtype, Kept kept,
                                         Dropped dropped) {
  tensors_.push_back({std::move(name), shape, dtype, Pass::forward, kept, dropped});
  return {last_of(tensors_)};
}

TensorId UnitDescription::backward_tensor(std::string name, Shape shape, DType dtype, Kept kept) {
  tensors_.push_back({std::move(name), shape, dtype, Pass::backward, kept, Dropped::by_full});
  return {last_of(tensors_)};
}

TensorId UnitDescription::input_tensor(std::int64_t hidden) {
  if (receives_input_) return {};
  return forward_tensor("input", {local_tokens(), hidden}, compute(), Kept::until_input_gradient,
                        Dropped::never);
}

void UnitDescription::keep_until_weight_gradient(TensorId id) {
  ActivationSpec& spec = tensors_.at(static_cast<std::size_t>(id.index));
  HW_CHECK(spec.kept != Kept::between_gradients, "{} is the caller's", spec.name);
  spec.kept = Kept::until_weight_gradient;
}

ConstantId UnitDescription::constant(ConstantSpec spec) {
  constants_.push_back(std::move(spec));
  return {last_of(constants_)};
}

CacheId UnitDescription::cache(std::string name, Shape shape) {
  if (cached_tokens_ == 0) return {};
  caches_.push_back({std::move(name), shape});
  return {last_of(caches_)};
}

}  // namespace headwater
