#pragma once
// Returns the message of the UserError that a call throws. If it succeeds or throws anything else, the test
// fails.

#include "headwater/base/error.h"

#include <gtest/gtest.h>

#include <string>

namespace headwater::test {

template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const UserError& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_EQ(message.find('\n'), std::string::npos) << "an error must be one line: " << message;
    return message;
  }
  ADD_FAILURE() << "expected a UserError";
  return "";
}

inline void expect_says(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << "no \"" << part << "\" in: " << message;
}

}  // namespace headwater::test
