// What the lanes of a warp do together: each leaves its operands and waits; the last one computes for all.

#include "block.h"

#include <bit>
#include <cmath>

namespace emulation {

void warp_operation(const char* name, std::uint32_t mask, void* operands, WarpFunction compute) {
  Block& block = *Block::current();
  const unsigned warp = block.lane().number / 32U, me = block.lane().number % 32U;
  WarpOperation* operation = nullptr;
  for (WarpOperation& pending : block.warp(warp)) {
    if (pending.mask == 0) {
      if (operation == nullptr) operation = &pending;
    } else if (pending.mask == mask) {
      operation = &pending;
      break;
    } else if ((pending.mask & mask) != 0) {
      block.fault(std::string("comes to ") + name + " while lanes of its warp wait in " + pending.name +
                  " with another mask");
    }
  }
  if (operation->mask == 0) {
    if ((mask >> me & 1U) == 0) block.fault(std::string("is not in its own mask of ") + name);
    if ((mask & ~block.lanes_of_warp(warp)) != 0) {
      block.fault(std::string("waits in ") + name + " for lanes that the block does not have");
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
      if ((mask >> lane & 1U) != 0 && block.lane(32 * warp + lane).finished) {
        block.fault(std::string("comes to ") + name + ", and lane " + std::to_string(lane) + " has returned");
      }
    }
    operation->name = name, operation->mask = mask, operation->arrived = 0;
  } else if (operation->name != name) {
    block.fault(std::string("comes to ") + name + " while lanes of its warp wait in " + operation->name);
  }
  operation->operands[me] = operands;
  operation->arrived |= 1U << me;
  if (operation->arrived != mask) {
    block.wait(name);
    return;
  }
  if (compute != nullptr) compute(operation->operands, mask);
  operation->mask = 0;
  for (std::uint32_t rest = mask & ~(1U << me); rest != 0; rest &= rest - 1) {
    block.wake(block.lane(32 * warp + static_cast<unsigned>(std::countr_zero(rest))));
  }
}

namespace {

struct ShuffleOperands {
  Shuffle mode;
  std::uint32_t value, result;
  unsigned argument;
};

void compute_shuffle(void* const operands[32], std::uint32_t mask) {
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1U) == 0) continue;
    auto& mine = *static_cast<ShuffleOperands*>(operands[lane]);
    unsigned source = lane;
    switch (mine.mode) {
      case Shuffle::index: source = mine.argument % 32; break;
      case Shuffle::up: source = lane >= mine.argument ? lane - mine.argument : lane; break;
      case Shuffle::down: source = lane + mine.argument < 32 ? lane + mine.argument : lane; break;
      case Shuffle::exclusive_or: source = (lane ^ mine.argument) % 32; break;
    }
    // From a lane outside the mask the value is undefined.
    const bool defined = (mask >> source & 1U) != 0;
    mine.result = defined ? static_cast<ShuffleOperands*>(operands[source])->value : 0xffffffffU;
  }
}

struct BallotOperands {
  bool predicate;
  std::uint32_t result;
};

void compute_ballot(void* const operands[32], std::uint32_t mask) {
  std::uint32_t votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1U) != 0 && static_cast<BallotOperands*>(operands[lane])->predicate)
      votes |= 1U << lane;
  }
  for (unsigned lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1U) != 0) static_cast<BallotOperands*>(operands[lane])->result = votes;
  }
}

}  // namespace

std::uint32_t shuffle(Shuffle mode, std::uint32_t value, unsigned argument, std::uint32_t mask) {
  Block::current()->lane().place = __builtin_return_address(0);
  ShuffleOperands operands{mode, value, 0, argument};
  warp_operation("a shuffle", mask, &operands, compute_shuffle);
  return operands.result;
}

std::uint32_t ballot(bool predicate, std::uint32_t mask) {
  Block::current()->lane().place = __builtin_return_address(0);
  BallotOperands operands{predicate, 0};
  warp_operation("a ballot", mask, &operands, compute_ballot);
  return operands.result;
}

float exp2(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126F ? 0.0F : y;  // .ftz; a NaN stays one
}

std::uint32_t to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if ((bits & 0x7f800000U) == 0x7f800000U) return bits & 0xffffe000U;
  return (bits + 0x1000U) & 0xffffe000U;
}

}  // namespace emulation

void __syncwarp(unsigned mask) {
  using emulation::Block;
  Block::current()->lane().place = __builtin_return_address(0);
  emulation::warp_operation("__syncwarp", mask, nullptr, [](void* const[32], std::uint32_t) {
    Block& block = *Block::current();
    block.clocks().warp_meets(block.lane().number / 32U);
  });
}
