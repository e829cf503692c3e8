#pragma once
// What one compute needs from, and gives to, the neighbouring stages: shared by the lowering and the checker.
// A message here is named by what it holds, wherever it travels: from rank to rank or between two chunks of
// one rank.

#include "headwater/schedule/lowering.h"

#include <optional>
#include <string>

namespace headwater {

struct StageMessage {
  Payload payload = Payload::activation;
  int micro_batch = 0;
  int from_stage = 0, to_stage = 0;
  bool operator==(const StageMessage&) const = default;
};

inline StageMessage message_of(const Transfer& transfer) {
  return {transfer.payload, transfer.micro_batch, transfer.from_stage, transfer.to_stage};
}

// Nothing at the ends of the model, and for weight gradients, which read what the slot keeps.
std::optional<StageMessage> input_of(const Action& action, int stages);
std::optional<StageMessage> output_of(const Action& action, int stages);

std::string describe(const Action& action);         // "forward of micro-batch 3 on stage 1"
std::string describe(const StageMessage& message);  // "the gradient of micro-batch 3 from stage 2 to 1"

}  // namespace headwater
