"""A lock that nobody has described works by overrides alone."""

from datetime import timedelta

from tests.house import living

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


MODEL = {"dps": {"create": 101, "delete": 102, "modify": 103}, "writes_ascii": True}
OVERRIDES = {
    "dp": {"create": 101, "delete": 102},
    "can_modify": False,
    "digits": "ascii",
}


def test_a_lock_with_data_points_101_and_102_and_ascii_digits_is_driven_by_overrides(tmp_path):
    async def story(house):
        stay = house.book(house.flat_101, HOUR, 2 * DAY)
        await house.reconciled()
        await house.pin_status(stay, "active")
        pin = await house.pin(stay)
        assert house.apt_101.try_pin(pin)
        assert {dp for dp, _ in house.apt_101.received} == {101}

        house.rebook(stay, HOUR, 4 * DAY)
        await house.reconciled()
        await house.clock.sleep(60)
        assert house.apt_101.try_pin(pin)  # deleted and written anew

        house.stays.change(stay, type="canceled")
        await house.reconciled()
        await house.until(lambda: house.apt_101.codes == [])
        assert {dp for dp, _ in house.apt_101.received} == {101, 102}

    living(tmp_path, story, model_101=MODEL, overrides_101=OVERRIDES)
