/* Functions of times, which are in UTC and in the years 1 to 9999. */
#include "expr/function_int.h"

#include <string.h>
#include <strings.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

enum {
    WORD_BYTES_MAX = 16,
    JULIAN_OF_1970 = 2440588,
    UNIT_WORK = 100,
};

enum unit {
    UNIT_MICROSECOND,
    UNIT_MILLISECOND,
    UNIT_SECOND,
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_QUARTER,
    UNIT_YEAR,
    UNIT_DECADE,
    UNIT_CENTURY,
    UNIT_MILLENNIUM, /* The last one that a time can be cut to. */
    UNIT_DOW,
    UNIT_ISODOW,
    UNIT_DOY,
    UNIT_ISOYEAR,
    UNIT_EPOCH,
    UNIT_JULIAN,
    UNIT_COUNT
};

static const char *const units[UNIT_COUNT][2] = {
    [UNIT_MICROSECOND] = {"microsecond", "microseconds"},
    [UNIT_MILLISECOND] = {"millisecond", "milliseconds"},
    [UNIT_SECOND] = {"second", "seconds"},
    [UNIT_MINUTE] = {"minute", "minutes"},
    [UNIT_HOUR] = {"hour", "hours"},
    [UNIT_DAY] = {"day", "days"},
    [UNIT_WEEK] = {"week", "weeks"},
    [UNIT_MONTH] = {"month", "months"},
    [UNIT_QUARTER] = {"quarter", "quarters"},
    [UNIT_YEAR] = {"year", "years"},
    [UNIT_DECADE] = {"decade", "decades"},
    [UNIT_CENTURY] = {"century", "centuries"},
    [UNIT_MILLENNIUM] = {"millennium", "millennia"},
    [UNIT_DOW] = {"dow", "dow"},
    [UNIT_ISODOW] = {"isodow", "isodow"},
    [UNIT_DOY] = {"doy", "doy"},
    [UNIT_ISOYEAR] = {"isoyear", "isoyear"},
    [UNIT_EPOCH] = {"epoch", "epoch"},
    [UNIT_JULIAN] = {"julian", "julian"},
};

static enum errcode find_unit(const struct call *call, const struct value *name, enum unit last,
                              enum unit *unit, struct err *err)
{
    char word[WORD_BYTES_MAX + 1] = "";
    work_charge(call->evaluator->work, UNIT_WORK);
    if (name->text.bytes > 0 && name->text.bytes <= WORD_BYTES_MAX) {
        memcpy(word, name->text.data, name->text.bytes);
    }
    for (*unit = 0; *unit <= last; ++*unit) {
        if (strcasecmp(word, units[*unit][0]) == 0 || strcasecmp(word, units[*unit][1]) == 0) {
            return ERR_OK;
        }
    }
    size_t shown = name->text.bytes < WORD_BYTES_MAX ? name->text.bytes : WORD_BYTES_MAX;
    err_at(err, call->position, ERR_BAD_PARAMETER, "\"%.*s\" is no part of a TIMESTAMP that %s",
           (int)shown, name->text.bytes > 0 ? name->text.data : "",
           last == UNIT_MILLENNIUM ? "it can be cut to" : "is known");
    err_hint(err, "Write one of year, month, day, hour, minute, second%s.",
             last == UNIT_MILLENNIUM ? ", week, quarter" : ", week, dow, doy, epoch");
    return ERR_BAD_PARAMETER;
}

/* A time taken apart. */
struct parts {
    int64_t days; /* Since 1970-01-01. */
    int64_t year;
    int month, day;
    int64_t micros; /* Of the day. */
};

static struct parts take_apart(int64_t time)
{
    struct parts p = {.days = time / DAY, .micros = time % DAY};
    if (p.micros < 0) {
        p.micros += DAY;
        p.days--;
    }
    date_from_days(p.days, &p.year, &p.month, &p.day);
    return p;
}

/* Monday is 0; 1970-01-01 was a Thursday. */
static int64_t weekday(int64_t days)
{
    return ((days + 3) % 7 + 7) % 7;
}

/* The week of ISO 8601 belongs to the year of its Thursday. */
static int64_t iso_week(const struct parts *p, int64_t *year)
{
    int64_t thursday = p->days - weekday(p->days) + 3;
    int month, day;
    date_from_days(thursday, year, &month, &day);
    return (thursday - days_from_date(*year, 1, 1)) / 7 + 1;
}

/* The first day of what the unit is; units below a day keep part of the day. */
static int64_t cut(const struct parts *p, enum unit unit)
{
    static const int64_t lengths[] = {
        [UNIT_MICROSECOND] = 1, [UNIT_MILLISECOND] = 1000, [UNIT_SECOND] = SECOND,
        [UNIT_MINUTE] = MINUTE, [UNIT_HOUR] = HOUR,        [UNIT_DAY] = DAY};
    int64_t year = p->year;
    int month = 1;
    switch (unit) {
    case UNIT_WEEK:
        return (p->days - weekday(p->days)) * DAY;
    case UNIT_MONTH:
        month = p->month;
        break;
    case UNIT_QUARTER:
        month = (p->month - 1) / 3 * 3 + 1;
        break;
    case UNIT_YEAR:
        break;
    case UNIT_DECADE:
        year = year / 10 * 10;
        break;
    case UNIT_CENTURY:
        year = (year - 1) / 100 * 100 + 1;
        break;
    case UNIT_MILLENNIUM:
        year = (year - 1) / 1000 * 1000 + 1;
        break;
    default:
        CHECK(unit <= UNIT_DAY);
        return p->days * DAY + p->micros / lengths[unit] * lengths[unit];
    }
    return days_from_date(year, month, 1) * DAY;
}

enum errcode call_date_trunc(const struct call *call, struct value *v, struct err *err)
{
    enum unit unit;
    enum errcode code = find_unit(call, &v[0], UNIT_MILLENNIUM, &unit, err);
    if (code != ERR_OK) {
        return code;
    }
    struct parts p = take_apart(v[1].integer);
    *v = v[1];
    v->integer = cut(&p, unit);
    code = value_check(v, err); /* The first decade begins in the year 0. */
    err->position = code != ERR_OK ? call->position : err->position;
    return code;
}

static double part_of_day(const struct parts *p, enum unit unit)
{
    double micros = (double)(p->micros % MINUTE);
    int64_t minute = p->micros / MINUTE % 60, hour = p->micros / HOUR;
    switch (unit) {
    case UNIT_MICROSECOND:
        return micros;
    case UNIT_MILLISECOND:
        return micros / 1000;
    case UNIT_SECOND:
        return micros / (double)SECOND;
    case UNIT_MINUTE:
        return (double)minute;
    default:
        CHECK(unit == UNIT_HOUR);
        return (double)hour;
    }
}

static int64_t part_of_calendar(const struct parts *p, enum unit unit)
{
    int64_t iso_year, week = iso_week(p, &iso_year);
    switch (unit) {
    case UNIT_DAY:
        return p->day;
    case UNIT_WEEK:
        return week;
    case UNIT_ISOYEAR:
        return iso_year;
    case UNIT_MONTH:
        return p->month;
    case UNIT_QUARTER:
        return (p->month - 1) / 3 + 1;
    case UNIT_YEAR:
        return p->year;
    case UNIT_DECADE:
        return p->year / 10;
    case UNIT_CENTURY:
        return (p->year + 99) / 100;
    case UNIT_MILLENNIUM:
        return (p->year + 999) / 1000;
    case UNIT_DOW:
        return (weekday(p->days) + 1) % 7;
    case UNIT_ISODOW:
        return weekday(p->days) + 1;
    default:
        CHECK(unit == UNIT_DOY);
        return p->days - days_from_date(p->year, 1, 1) + 1;
    }
}

enum errcode call_extract(const struct call *call, struct value *v, struct err *err)
{
    enum unit unit;
    enum errcode code = find_unit(call, &v[0], UNIT_COUNT - 1, &unit, err);
    if (code != ERR_OK) {
        return code;
    }
    int64_t time = v[1].integer;
    struct parts p = take_apart(time);
    if (unit == UNIT_EPOCH) {
        *v = value_float((double)time / (double)SECOND);
    } else if (unit == UNIT_JULIAN) {
        *v = value_float((double)(p.days + JULIAN_OF_1970) + (double)p.micros / (double)DAY);
    } else if (unit <= UNIT_HOUR) {
        *v = value_float(part_of_day(&p, unit));
    } else {
        *v = value_float((double)part_of_calendar(&p, unit));
    }
    return ERR_OK;
}
