#pragma once
// What `auto` stands for on the machines of this run.

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

// Which rank runs where, for people; empty on the CPU. Collective.
std::string device_table(World& world, Communicator& ranks, Device mine);

// What the products of all ranks' devices reach together; none where it is not known of one of them.
// Collective.
DevicePeak peak_of_all(Communicator& ranks, const RunSettings& settings);

// This rank's. `host_bytes`: what a step copies from the host (RankLayout).
std::unique_ptr<Backend> make_backend(const RunSettings& settings, const World& world,
                                      std::int64_t host_bytes = 0);

}  // namespace headwater
