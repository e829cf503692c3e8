#pragma once
// Which of cuBLASLt's algorithms takes which product: what `headwater bench matmul` writes and
// training.matmul_algorithms reads. docs/formats/matmul-algorithms.md is the file's specification. Plain
// data; nothing of CUDA here.

#include "headwater/base/file.h"

#include <cstdint>
#include <map>
#include <string>

namespace headwater {

struct MatmulAlgorithms {
  struct Product {
    std::string algorithm;                     // the 64 bytes of cublasLtMatmulAlgo_t, as hexadecimal digits
    double seconds = 0.0, rule_seconds = 0.0;  // medians: of it, and of what the library's rule chose
    int candidates = 0;                        // how many were timed
  };
  std::string file;                         // where it was read, for errors
  std::string device;                       // "NVIDIA A100-SXM4-80GB, compute capability 8.0"
  std::int64_t cublaslt = 0;                // cublasLtGetVersion()
  std::map<std::string, Product> products;  // by the product's name
};

// UserError "FILE: what is wrong" where it is none, or one of another version of the format.
MatmulAlgorithms read_matmul_algorithms(const Path& file);
MatmulAlgorithms parse_matmul_algorithms(const std::string& text, const std::string& name);
std::string text_of(const MatmulAlgorithms& algorithms);

}  // namespace headwater
