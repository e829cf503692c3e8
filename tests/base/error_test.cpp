#include "headwater/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

namespace headwater {
namespace {

TEST(Error, EachKindHasItsExitCode) {
  EXPECT_EQ(UserError("x").exit_code(), 2);
  EXPECT_EQ(SystemError("x").exit_code(), 3);
  EXPECT_EQ(CommError("x").exit_code(), 4);
  EXPECT_EQ(InternalError("x").exit_code(), 1);
}

TEST(Error, MessagesAreFormatted) { EXPECT_STREQ(UserError("{} of {}", 2, "three").what(), "2 of three"); }

TEST(Error, ErrnoIsMappedInOnePlace) {
  for (const int error : {ENOENT, ENOTDIR, EISDIR})
    EXPECT_THROW(throw_errno(error, "open", "x"), UserError) << std::strerror(error);
  for (const int error : {ENOSPC, EDQUOT, EACCES, EPERM, EROFS, EIO, ENOMEM, EMFILE})
    EXPECT_THROW(throw_errno(error, "open", "x"), SystemError) << std::strerror(error);
}

TEST(Error, ErrnoMessageNamesActionPathAndReason) {
  try {
    throw_errno(ENOSPC, "write", "some/file");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot write some/file: No space left on device");
  }
}

TEST(Error, CheckSaysWhereAndWhat) {
  const int left = 1;
  HW_CHECK(left == 1, "never");
  try {
    HW_CHECK(left == 2, "left is {}", left);
    FAIL() << "nothing was thrown";
  } catch (const InternalError& error) {
    const std::string message = error.what();
    EXPECT_TRUE(message.starts_with("tests/base/error_test.cpp:")) << message;
    EXPECT_TRUE(message.ends_with("expected left == 2: left is 1")) << message;
  }
}

}  // namespace
}  // namespace headwater
