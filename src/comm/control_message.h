#pragma once
// The small messages between progress engines: questions about a call that does not end, and news of
// failures.

#include "operation.h"

#include <cstddef>
#include <span>

namespace headwater::comm {

struct ControlMessage {
  enum class Subject : std::uint8_t {
    question,   // does your engine live, and has your compute thread made this call?
    answer,     // the reply to a question
    failed,     // the sender's compute thread has failed; exit_code and text say why
    reporting,  // the sender prints the error and ends the job; the others print nothing
  };
  Subject subject = Subject::question;

  // The call that a question is about: call number `sequence` of kind `kind`, as the asker sees it, on the
  // channel that the two ranks share. Channel −1: the question asks only whether the engine lives.
  CallKind kind = CallKind::collective;
  std::int32_t channel = -1;
  std::uint64_t sequence = 0;

  std::uint64_t question = 0;  // the question's number, which its answer repeats
  bool came = false;           // answer: this rank has made the call that the question is about
  bool waits = false;          // answer: this rank waits for some call itself
  std::int32_t exit_code = 0;  // failed: the exit code of the failure
  // failed: why. answer: this rank's own call of that number ("all_gather of 512 bytes"), while it has not
  // ended.
  std::string text;
};

// The two are inverse, but encode cuts long texts off.
std::vector<std::byte> encode(const ControlMessage& message);
ControlMessage decode(std::span<const std::byte> bytes);

}  // namespace headwater::comm
