#pragma once
// Says what each action waits for and what it makes for another. The lowering, the checker, the engine, the
// simulator and the search all ask here. A message is named by what it holds, wherever it travels: from rank
// to rank or between two chunks of one rank.

#include "headwater/schedule/schedule.h"

#include <cstddef>
#include <optional>
#include <string>

namespace headwater {

// The activation of (micro-batch m, stage s) goes from stage s to s + 1, its gradient from s + 1 to s.
enum class Payload : std::uint8_t { activation, gradient };

struct StageMessage {
  Payload payload = Payload::activation;
  int micro_batch = 0;
  int from_stage = 0, to_stage = 0;
  bool operator==(const StageMessage&) const = default;
};

// Returns the message that `action` reads, in a model of `stages` virtual stages. There is none at the ends
// of the model, nor for weight gradients, which read what their slots keep.
std::optional<StageMessage> input_of(const Action& action, int stages);
// Returns the message that `action` makes. There is none at the ends of the model, nor for weight gradients.
std::optional<StageMessage> output_of(const Action& action, int stages);

// Gives every message that a schedule can have a number of its own, so that what is known of them lies in a
// vector.
class MessageNumbers {
 public:
  explicit MessageNumbers(const Schedule& schedule)
      : micro_batches_(schedule.micro_batches), stages_(schedule.placement.stages()) {}
  std::size_t count() const { return static_cast<std::size_t>(2 * micro_batches_ * stages_); }
  // Returns a number below count(). The message must go between two of the schedule's stages.
  std::size_t operator()(const StageMessage& message) const {
    const int payload = message.payload == Payload::activation ? 0 : 1;
    return static_cast<std::size_t>((payload * micro_batches_ + message.micro_batch) * stages_ +
                                    message.to_stage);
  }

 private:
  int micro_batches_, stages_;
};

std::string describe(const Action& action);         // "forward of micro-batch 3 on stage 1"
std::string describe(const StageMessage& message);  // "the gradient of micro-batch 3 from stage 2 to 1"

}  // namespace headwater
