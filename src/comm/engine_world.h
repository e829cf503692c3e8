#pragma once
// What a World on an engine is, whatever carries its bytes: identity, hosts and groups. How it fails differs.

#include "group_communicator.h"

#include "headwater/comm/world.h"

namespace headwater::comm {

std::string host_name();  // this machine's

class EngineWorld : public World {
 public:
  explicit EngineWorld(const Engine::Open& open, LastWords::EndJob end_job = {});

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
  double waited_seconds() const override { return engine_.board()->waited_seconds(); }
  std::int64_t sent_bytes() const override { return engine_.sent_bytes(); }
  std::int64_t scratch_bytes() const override;

  void finish() override;

 protected:
  Engine engine_;

 private:
  Place place(std::string_view name, const std::vector<int>& ranks);
  void keep(const std::shared_ptr<Group>& group);

  // How many groups this rank has had in common with each other. Both ends count alike, as all ranks make
  // their groups in one order, so that channels need no agreement between ranks.
  std::vector<int> groups_with_;
  std::vector<std::weak_ptr<Group>> groups_;
  std::unique_ptr<Communicator> everybody_;
  bool finished_ = false;
};

}  // namespace headwater::comm
