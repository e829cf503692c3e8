#include "headwater/schedule/message.h"

#include <fmt/format.h>

#include <array>

namespace headwater {

std::optional<StageMessage> input_of(const Action& action, int stages) {
  if (action.kind == ActionKind::weight_gradient) return std::nullopt;
  const bool forward = action.kind == ActionKind::forward;
  const int from = forward ? action.stage - 1 : action.stage + 1;
  if (from < 0 || from >= stages) return std::nullopt;
  return StageMessage{forward ? Payload::activation : Payload::gradient, action.micro_batch, from,
                      action.stage};
}

std::optional<StageMessage> output_of(const Action& action, int stages) {
  if (action.kind == ActionKind::weight_gradient) return std::nullopt;
  const bool forward = action.kind == ActionKind::forward;
  const int to = forward ? action.stage + 1 : action.stage - 1;
  if (to < 0 || to >= stages) return std::nullopt;
  return StageMessage{forward ? Payload::activation : Payload::gradient, action.micro_batch, action.stage,
                      to};
}

std::string describe(const Action& action) {
  constexpr std::array kinds = {"forward", "backward", "input gradient", "weight gradient"};
  return fmt::format("{} of micro-batch {} on stage {}", kinds.at(static_cast<std::size_t>(action.kind)),
                     action.micro_batch, action.stage);
}

std::string describe(const StageMessage& message) {
  return fmt::format("the {} of micro-batch {} from stage {} to {}",
                     message.payload == Payload::activation ? "activation" : "gradient", message.micro_batch,
                     message.from_stage, message.to_stage);
}

}  // namespace headwater
