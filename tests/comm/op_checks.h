#pragma once
// Checks of what every kind of communicator must do. All ranks of a world of any kind call them. They throw
// InternalError.

#include "headwater/comm/world.h"

#include <algorithm>

namespace headwater::test {

// Element i of rank r's data, so that each rank can compute what the others hold. The values differ in
// magnitude, so that the order of a sum shows in its bits.
template <class T>
T value_of(int rank, std::size_t i) {
  std::uint64_t x =
      (i + 1) * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(rank + 1) * 0xD1B54A32D192ED03ULL;
  x ^= x >> 29;
  x *= 0xBF58476D1CE4E5B9ULL;
  x ^= x >> 32;
  const auto small = static_cast<std::int32_t>(x % 20001) - 10000;
  if constexpr (std::is_same_v<T, std::int32_t>)
    return small;
  else if constexpr (std::is_same_v<T, double>)
    return small * static_cast<double>(std::int64_t{1} << (x >> 40) % 60);
  else
    return T(static_cast<float>(small) * static_cast<float>(1 << (x >> 40) % 20));
}

template <class T>
std::vector<T> values_of(int rank, std::size_t count, std::size_t first = 0) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value_of<T>(rank, first + i);
  return values;
}

template <class T>
TensorView view(std::vector<T>& values) {
  return {values.data(), dtype_of<T>(), {static_cast<std::int64_t>(values.size())}};
}

template <class T>
TensorView view(std::vector<T>& values, std::size_t begin, std::size_t count) {
  return {values.data() + begin, dtype_of<T>(), {static_cast<std::int64_t>(count)}};
}

// Compares bit by bit.
template <class T>
void check_equal(const std::vector<T>& found, const std::vector<T>& expected, std::string_view what) {
  HW_CHECK(found.size() == expected.size(), "{}", what);
  for (std::size_t i = 0; i < found.size(); ++i)
    HW_CHECK(
        std::equal(reinterpret_cast<const char*>(&found[i]), reinterpret_cast<const char*>(&found[i] + 1),
                   reinterpret_cast<const char*>(&expected[i])),
        "{}: element {} of {} ({})", what, i, found.size(), name_of(dtype_of<T>()));
}

// The sum over all ranks in rank order, taken in f32 for bf16.
template <class T>
std::vector<T> expected_sum(int ranks, std::size_t count, std::size_t first = 0) {
  using A = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
  std::vector<T> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    A sum = static_cast<A>(value_of<T>(0, first + i));
    for (int rank = 1; rank < ranks; ++rank) sum += static_cast<A>(value_of<T>(rank, first + i));
    result[i] = static_cast<T>(sum);
  }
  return result;
}

template <class T>
void check_ops_of_type(Communicator& group, std::size_t count) {
  const int n = group.size();
  const int me = group.rank();
  const auto parts = static_cast<std::size_t>(n);

  auto data = values_of<T>(me, count);
  group.all_reduce(view(data), ReduceOp::sum).wait();
  check_equal(data, expected_sum<T>(n, count), "all_reduce sum");

  if constexpr (!std::is_same_v<T, bf16>) {
    data = values_of<T>(me, count);
    group.all_reduce(view(data), ReduceOp::max).wait();
    std::vector<T> largest = values_of<T>(0, count);
    for (int rank = 1; rank < n; ++rank)
      for (std::size_t i = 0; i < count; ++i) largest[i] = std::max(largest[i], value_of<T>(rank, i));
    check_equal(data, largest, "all_reduce max");
  }

  auto whole = values_of<T>(me, count * parts);
  const auto before = whole;
  std::vector<T> part(count);
  group.reduce_scatter(view(whole), view(part)).wait();
  check_equal(part, expected_sum<T>(n, count, static_cast<std::size_t>(me) * count), "reduce_scatter");
  check_equal(whole, before, "reduce_scatter's input");

  std::vector<T> everybodys;
  for (int rank = 0; rank < n; ++rank) {
    const auto values = values_of<T>(rank, count);
    everybodys.insert(everybodys.end(), values.begin(), values.end());
  }
  auto mine = values_of<T>(me, count);
  std::vector<T> gathered(count * parts);
  group.all_gather(view(mine), view(gathered)).wait();
  check_equal(gathered, everybodys, "all_gather");
  std::vector<T> in_place(count * parts);
  std::copy(mine.begin(), mine.end(),
            in_place.begin() + static_cast<std::ptrdiff_t>(count * static_cast<std::size_t>(me)));
  group.all_gather(view(in_place, count * static_cast<std::size_t>(me), count), view(in_place)).wait();
  check_equal(in_place, everybodys, "all_gather in place");

  for (int root = 0; root < n; ++root) {
    auto sent = me == root ? values_of<T>(root, count) : std::vector<T>(count);
    group.broadcast(view(sent), root).wait();
    check_equal(sent, values_of<T>(root, count), "broadcast");
  }

  auto outgoing = values_of<T>(me, count * parts);
  std::vector<T> incoming(count * parts), expected;
  for (int rank = 0; rank < n; ++rank) {
    const auto values = values_of<T>(rank, count, count * static_cast<std::size_t>(me));
    expected.insert(expected.end(), values.begin(), values.end());
  }
  group.all_to_all(view(outgoing), view(incoming)).wait();
  check_equal(incoming, expected, "all_to_all");
}

// Every rank sends several messages of different sizes around the ring, and waits for them when all are
// queued.
inline void check_messages(Communicator& group) {
  if (group.size() == 1) return;
  const int next = (group.rank() + 1) % group.size();
  const int previous = (group.rank() + group.size() - 1) % group.size();
  const std::vector<std::size_t> sizes = {1, 300'000, 7, 70'001};
  std::vector<std::vector<float>> out, in;
  std::vector<Event> events;
  for (const std::size_t size : sizes) {
    out.push_back(values_of<float>(group.rank(), size, size));
    in.emplace_back(size);
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    events.push_back(group.receive(view(in[i]), previous));
    events.push_back(group.send(view(out[i]), next));
  }
  for (const Event& event : events) event.wait();
  for (std::size_t i = 0; i < sizes.size(); ++i)
    check_equal(in[i], values_of<float>(previous, sizes[i], sizes[i]), "message");
}

// Queues calls one after the other, each on the result of the call before, without waiting in between.
inline void check_chain(Communicator& group) {
  constexpr std::size_t kCount = 1000;
  const auto parts = static_cast<std::size_t>(group.size());
  auto whole = values_of<double>(group.rank(), kCount * parts);
  std::vector<double> part(kCount), all(kCount * parts);
  Event event = group.reduce_scatter(view(whole), view(part));
  event = group.all_gather(view(part), view(all), event);
  event = group.all_reduce(view(all), ReduceOp::max, event);
  event.wait();
  HW_CHECK(event.done(), "waited for");
  check_equal(all, expected_sum<double>(group.size(), kCount * parts), "chain");
}

inline void check_host_values(Communicator& group) {
  const std::int64_t n = group.size();
  const std::int64_t big = std::int64_t{1} << 40;
  HW_CHECK(sum_over(group, big + group.rank()) == n * big + n * (n - 1) / 2, "sum_over");
  HW_CHECK(max_over(group, -big + group.rank()) == -big + n - 1, "max_over");
  barrier(group);
  for (int root = 0; root < n; ++root) {
    std::vector<std::byte> bytes(group.rank() == root ? static_cast<std::size_t>(5 * root) : 3,
                                 std::byte(root));
    broadcast_bytes(group, bytes, root);
    HW_CHECK(bytes == std::vector<std::byte>(static_cast<std::size_t>(5 * root), std::byte(root)),
             "broadcast_bytes");
  }
  const std::vector<std::byte> mine(static_cast<std::size_t>(group.rank()), std::byte(group.rank()));
  const auto all = gather_bytes(group, mine);
  HW_CHECK(all.size() == static_cast<std::size_t>(n), "gather_bytes");
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    HW_CHECK(all[rank] == std::vector<std::byte>(rank, std::byte(rank)), "gather_bytes of rank {}", rank);
}

inline void check_group(Communicator& group) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{37}, std::size_t{4099}}) {
    check_ops_of_type<float>(group, count);
    check_ops_of_type<bf16>(group, count);
    check_ops_of_type<double>(group, count);
    check_ops_of_type<std::int32_t>(group, count);
  }
  check_messages(group);
  check_chain(group);
  check_host_values(group);
}

// Mixes calls of groups that overlap: all ranks, the even and the odd ranks, all but the last.
inline void check_world(World& world) {
  const auto everybody = world.group("everybody", world.all_ranks());
  std::vector<int> alike;
  for (int rank = world.rank() % 2; rank < world.size(); rank += 2) alike.push_back(rank);
  const auto half = world.group("half", alike);
  std::unique_ptr<Communicator> but_last;
  if (world.size() > 1 && world.rank() + 1 < world.size()) {
    std::vector<int> ranks = world.all_ranks();
    ranks.pop_back();
    but_last = world.group("but_last", ranks);
  }
  HW_CHECK(everybody->name() == "everybody" && everybody->size() == world.size(), "everybody");
  HW_CHECK(half->rank() == world.rank() / 2, "half");
  check_group(*everybody);
  check_ops_of_type<float>(*everybody,
                           400'003);  // more pieces, and rounds of a sum, than are under way at a time
  check_group(*half);
  if (but_last) check_messages(*but_last);

  // Odd ranks make the two calls in the other order, since groups do not wait for each other.
  std::vector<float> a = values_of<float>(world.rank(), 5000), b = a;
  Event first, second;
  if (world.rank() % 2 == 0) {
    first = everybody->all_reduce(view(a), ReduceOp::sum);
    second = half->all_reduce(view(b), ReduceOp::sum);
  } else {
    second = half->all_reduce(view(b), ReduceOp::sum);
    first = everybody->all_reduce(view(a), ReduceOp::sum);
  }
  second.wait();
  first.wait();
  check_equal(a, expected_sum<float>(world.size(), 5000), "everybody's sum");

  HW_CHECK(world.peers_alive(5.0) && !world.broken(), "all are here");
  HW_CHECK((world.scratch_bytes() > 0) == (world.size() > 1), "{} bytes of scratch", world.scratch_bytes());
  for (const FlightRecord& record : world.flight_recorder().recent())
    HW_CHECK(record.queued <= record.started && record.started <= record.ended, "{} #{} of {} was waited for",
             record.operation, record.sequence, record.group);
}

}  // namespace headwater::test
