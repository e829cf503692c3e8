#include "group.h"

#include <utility>

namespace headwater::comm {

Group::Group(Membership membership)
    : Membership(std::move(membership)), sends(ranks.size()), receives(ranks.size()) {}

}  // namespace headwater::comm
