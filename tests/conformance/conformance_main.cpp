// Prints what each instruction of ptx.cuh gives, a line for each: its name, then its words. On a GPU:
//   headwater_conformance > tests/conformance/expected.tsv

#include "instructions.h"

#include <cstdio>
#include <exception>

int main() {
  try {
    for (const headwater::conformance::Outcome& outcome : headwater::conformance::all_outcomes()) {
      std::printf("%s", outcome.name.c_str());
      for (const std::uint32_t word : outcome.words) std::printf("\t%08x", word);
      std::printf("\n");
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "headwater_conformance: %s\n", error.what());
    return 1;
  }
  return 0;
}
