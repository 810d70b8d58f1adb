/* Wires: several drivers, one level, and only changes are heard. */
#include <gtest/gtest.h>

#include <vector>

#include "shim.h"

namespace
{

struct Ear {
    struct wire_listener listener = {changed};
    std::vector<bool> heard;

    static void changed(struct wire_listener *self, bool level)
    {
        EVENT_OWNER(self, Ear, listener)->heard.push_back(level);
    }
};

TEST(Wire, IsHighWhileAnyDriverAsserts)
{
    struct wire w = {};
    wire_drive(&w, 0, true);
    wire_drive(&w, WIRE_MAX_DRIVERS - 1, true);
    wire_drive(&w, 0, false);
    EXPECT_TRUE(wire_level(&w));
    wire_drive(&w, WIRE_MAX_DRIVERS - 1, false);
    EXPECT_FALSE(wire_level(&w));
}

TEST(Wire, TellsItsListenerAboutChangesOnly)
{
    Ear ear;
    struct wire w = {&ear.listener, 0};
    for (bool level : {false, true, true, false, false, true})
        wire_drive(&w, 3, level);
    EXPECT_EQ(ear.heard, (std::vector<bool>{true, false, true}));
}

TEST(Wire, ASecondDriverDoesNotRepeatTheLevel)
{
    Ear ear;
    struct wire w = {&ear.listener, 0};
    wire_drive(&w, 1, true);
    wire_drive(&w, 2, true);
    wire_drive(&w, 1, false);
    wire_drive(&w, 2, false);
    EXPECT_EQ(ear.heard, (std::vector<bool>{true, false}));
}

TEST(Wire, ListenerSeesTheNewLevelOnTheWire)
{
    struct Reader {
        struct wire_listener listener;
        struct wire wire;
        bool seen;
    } r = {{[](struct wire_listener *self, bool) {
               Reader *reader = EVENT_OWNER(self, Reader, listener);
               reader->seen = wire_level(&reader->wire);
           }},
           {},
           false};
    r.wire.listener = &r.listener;
    wire_drive(&r.wire, 0, true);
    EXPECT_TRUE(r.seen);
}

} // namespace
