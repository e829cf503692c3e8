#pragma once
// The devices and threads that a run computes with on the machines that it runs on: which device each rank
// has, and what `auto` means there.

#include "headwater/backend/backend.h"
#include "headwater/run/run_settings.h"
#include "headwater/tensor/device_peak.h"

#include <memory>
#include <string>
#include <vector>

namespace headwater {

class Communicator;
class World;

// The numbers of all ranks of the world: a group that every rank belongs to.
std::vector<int> all_ranks(const World& world);

// Decides every `auto` of the training section: GPUs where every rank has one of its own; bf16 on GPUs, and
// where every chip has it; the fewest threads that any rank can have. Collective, and the same on all ranks,
// but for the number of the device.
RunSettings choose_settings(const TrainingConfig& training, World& world);

// Returns a table for people of which rank runs where; empty on the CPU. Collective.
std::string device_table(World& world, Communicator& ranks, Device mine);

// Returns the FLOP/s that the matrix products of all ranks' devices reach together; nothing where one of them
// has no known peak. Collective.
DevicePeak peak_of_all(Communicator& ranks, const RunSettings& settings);

// Makes this rank's backend. `host_bytes` is what a step copies from the host (RankLayout::host_bytes).
std::unique_ptr<Backend> make_backend(const RunSettings& settings, const World& world,
                                      std::int64_t host_bytes = 0);

}  // namespace headwater
