// Files of cuBLASLt's algorithms: what is written is read again, and what is no such file is refused.

#include "headwater/backend/matmul_algorithms.h"
#include "headwater/base/error.h"

#include <gtest/gtest.h>

namespace headwater {
namespace {

MatmulAlgorithms example() {
  MatmulAlgorithms algorithms;
  algorithms.device = "a GPU, compute capability 9.0";
  algorithms.cublaslt = 130100;
  algorithms.products["f32[2,3:3@256] x f32[3,4:4@256] -> f32[2,4:4@256]"] = {std::string(128, 'a'), 1e-6,
                                                                              2e-6, 3};
  return algorithms;
}

std::string refusal(const std::string& text) {
  try {
    parse_matmul_algorithms(text, "FILE");
  } catch (const UserError& error) {
    return error.what();
  }
  return "accepted";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(MatmulAlgorithms, WhatIsWrittenIsReadAgain) {
  const MatmulAlgorithms read = parse_matmul_algorithms(text_of(example()), "FILE");
  EXPECT_EQ(read.device, example().device);
  EXPECT_EQ(read.cublaslt, example().cublaslt);
  ASSERT_EQ(read.products.size(), 1U);
  EXPECT_EQ(read.products.begin()->first, example().products.begin()->first);
  const MatmulAlgorithms::Product& product = read.products.begin()->second;
  EXPECT_EQ(product.algorithm, std::string(128, 'a'));
  EXPECT_DOUBLE_EQ(product.seconds, 1e-6);
  EXPECT_DOUBLE_EQ(product.rule_seconds, 2e-6);
  EXPECT_EQ(product.candidates, 3);
}

TEST(MatmulAlgorithms, OtherFilesAreRefused) {
  const std::string text = text_of(example());
  EXPECT_NE(refusal("{\"a\": "), "accepted");
  EXPECT_EQ(refusal("{}"), "FILE: format is missing");
  EXPECT_NE(
      refusal(replaced(text, "headwater matmul algorithms", "another")).find("headwater bench matmul writes"),
      std::string::npos);
  EXPECT_EQ(refusal(replaced(text, "\"version\": 1", "\"version\": 2")),
            "FILE: version is 2; this version of headwater reads 1");
  EXPECT_NE(refusal(replaced(text, std::string(128, 'a'), "abc"))
                .find("algorithm is abc; it must be 128 hexadecimal digits"),
            std::string::npos);
  EXPECT_NE(
      refusal(replaced(text, "\"cublaslt\": 130100", "\"cublaslt\": \"13\"")).find("cublaslt is \"13\""),
      std::string::npos);
}

}  // namespace
}  // namespace headwater
