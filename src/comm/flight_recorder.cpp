#include "headwater/comm/flight_recorder.h"

#include "headwater/base/clock.h"
#include "headwater/tensor/profile_range.h"

#include <fmt/format.h>

#include <utility>

namespace headwater {

std::uint64_t FlightRecorder::queue(std::string group, std::string operation, std::uint64_t sequence,
                                    std::int64_t bytes) {
  FlightRecord record{std::move(group), std::move(operation), sequence, bytes, now_seconds(), 0.0, 0.0, 0};
  const std::lock_guard lock(mutex_);
  if (ring_.size() < kCapacity)
    ring_.push_back(std::move(record));
  else
    ring_[next_ % kCapacity] = std::move(record);
  return next_++;
}

FlightRecord* FlightRecorder::find(std::uint64_t id) {
  return id + kCapacity >= next_ ? &ring_[id % kCapacity] : nullptr;  // null: overwritten since
}

void FlightRecorder::start(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  FlightRecord* const record = find(id);
  if (record == nullptr) return;
  record->started = now_seconds();
  if (ProfileRange::watched()) record->range = begin_range(record->group + ": " + record->operation);
}

void FlightRecorder::end(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  FlightRecord* const record = find(id);
  if (record == nullptr) return;
  record->ended = now_seconds();
  if (record->range != 0) end_range(std::exchange(record->range, 0));
}

std::vector<FlightRecord> FlightRecorder::recent() const {
  const std::lock_guard lock(mutex_);
  std::vector<FlightRecord> records;
  const std::uint64_t first = next_ - ring_.size();
  for (std::uint64_t id = first; id < next_; ++id) records.push_back(ring_[id % kCapacity]);
  return records;
}

std::string FlightRecorder::table() const {
  constexpr std::size_t kEnded = 16;  // a call that has ended is shown if it is among this many newest calls
  const std::vector<FlightRecord> records = recent();
  const double now = now_seconds();
  std::string out = fmt::format("  {:<12} {:<18} {:>8} {:>12} {:>10} {:>10}  {}", "group", "operation",
                                "sequence", "bytes", "queued", "waited", "state");
  for (std::size_t i = 0; i < records.size(); ++i) {
    const FlightRecord& record = records[i];
    if (record.ended > 0.0 && i + kEnded < records.size()) continue;
    const double waited = record.started == 0.0 ? 0.0 : record.started - record.queued;
    const std::string state = record.ended > 0.0 ? fmt::format("took {:.3f} s", record.ended - record.started)
                              : record.started > 0.0
                                  ? fmt::format("UNFINISHED since {:.3f} s", now - record.started)
                                  : std::string("NOT STARTED");
    out += fmt::format("\n  {:<12} {:<18} {:>8} {:>12} {:>7.3f} s {:>7.3f} s  {}", record.group,
                       record.operation, record.sequence, record.bytes, now - record.queued, waited, state);
  }
  return out + "\n  (queued: seconds ago; waited: for its data and for earlier calls)";
}

}  // namespace headwater
