#pragma once
// A World of several ranks on a progress engine, whatever transport carries its bytes.
//
// MPI's world and the thread ranks' world derive from it. They differ in the transport and in what a failing
// rank does.

#include "group_communicator.h"

#include "headwater/comm/world.h"

namespace headwater::comm {

std::string host_name();  // the name of this machine

class DistributedWorld : public World {
 public:
  explicit DistributedWorld(const ProgressEngine::Open& open, FailureArbiter::EndJob end_job = {});

  int rank() const override { return engine_.rank(); }
  int size() const override { return engine_.size(); }
  int local_rank() const override { return engine_.local_rank(); }
  int local_size() const override { return engine_.local_size(); }
  std::string host(int rank) const override { return engine_.hosts().at(static_cast<std::size_t>(rank)); }

  std::unique_ptr<Communicator> group(std::string_view name, const std::vector<int>& ranks) override;
  std::unique_ptr<Communicator> device_group(std::string_view name, const std::vector<int>& ranks,
                                             Device device, const Traffic& traffic) override;

  void set_timeout(double seconds) override { engine_.set_timeout(seconds); }
  bool broken() const override { return engine_.broken(); }
  bool peers_alive(double seconds) override { return engine_.peers_alive(seconds); }
  bool abandon() override { return engine_.abandon(); }
  const FlightRecorder& flight_recorder() const override { return engine_.recorder(); }
  double waited_seconds() const override { return engine_.waits()->waited_seconds(); }
  std::int64_t sent_bytes() const override { return engine_.sent_bytes(); }
  std::int64_t scratch_bytes() const override;

  void finish() override;

 protected:
  ProgressEngine engine_;

 private:
  Membership join(std::string_view name, const std::vector<int>& ranks);
  void register_group(const std::shared_ptr<Group>& group);

  // By other rank: how many groups this rank has been in together with it so far. The next group's channel to
  // that rank is this number. All ranks make their groups in the same order, so both ends count alike and
  // need not agree.
  std::vector<int> groups_with_;
  std::vector<std::weak_ptr<Group>> groups_;
  std::unique_ptr<Communicator> everybody_;  // for the barrier in finish()
  bool finished_ = false;
};

}  // namespace headwater::comm
