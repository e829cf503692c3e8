#include "headwater/layout/tensor_home.h"

namespace headwater {

Home home_of(const ActivationSpec& spec, Recompute recompute, UnitPass pass) {
  const bool apart = pass == UnitPass::input_gradient;
  if (spec.made == Pass::forward) {
    if (spec.kept == Kept::scratch) return Home::forward_scratch;
    const bool for_weights = spec.kept == Kept::until_weight_gradient;
    if (!drops(recompute, spec.dropped)) return for_weights ? Home::weight_slot : Home::slot;
    return apart && for_weights ? Home::delayed_slot : Home::pass_scratch;
  }
  if (pass == UnitPass::forward) return Home::none;
  if (spec.kept == Kept::scratch) return Home::backward_scratch;
  if (apart) return Home::delayed_slot;
  return spec.kept == Kept::between_gradients ? Home::none : Home::backward_scratch;
}

}  // namespace headwater
