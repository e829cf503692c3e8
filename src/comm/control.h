#pragma once
// The small messages between engines: questions about a call that does not end, and news of failures.

#include "operation.h"

#include <cstddef>
#include <span>

namespace headwater::comm {

struct Control {
  enum class Subject : std::uint8_t {
    question,  // is your engine alive, and has your compute thread made this call?
    answer,
    failed,    // the sender's compute thread has failed: exit_code and text say why
    speaking,  // the sender ends the job; the others keep silent
  };
  Subject subject = Subject::question;
  // The call asked about: the sequence-th call of that kind (the asker's) on the channel that the two ranks
  // share. Channel -1 asks for a sign of life only.
  CallKind kind = CallKind::collective;
  std::int32_t channel = -1;
  std::uint64_t sequence = 0;
  // Answers.
  std::uint64_t question = 0;  // its number, repeated in the answer
  bool came = false;           // the call asked about was made
  bool waits = false;          // the answerer itself waits for some call
  // Failures: why. Answers: what the answerer's call of that number is ("all_gather of 512 bytes"), where it
  // has not ended.
  std::int32_t exit_code = 0;
  std::string text;
};

std::vector<std::byte> encode(const Control& message);
Control decode(std::span<const std::byte> bytes);

}  // namespace headwater::comm
