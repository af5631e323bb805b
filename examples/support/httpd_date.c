/* Dates of HTTP (RFC 9110, section 5.6.7), without the names of the locale. */

#include "httpd_date.h"

#include <string.h>

static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01. */
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01 of a date in the Gregorian calendar.  Years begin in
 * March here, so that the leap day is the last one. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t era_year, era, day_of_year;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    era_year = year - era * 400;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + era_year * 365 + era_year / 4 - era_year / 100 +
           day_of_year - 719468;
}

static void put_number(char *text, int digits, int64_t number)
{
    while (digits-- > 0) {
        text[digits] = (char) ('0' + number % 10);
        number /= 10;
    }
}

void httpd_date_format(int64_t seconds, char ret[HTTPD_DATE_SIZE])
{
    int64_t days, rest, era, era_day, era_year, year;
    int month;

    if (seconds < 0 || seconds > 253402300799)
        seconds = 0;
    /* The opposite of days_of(): the three terms take the leap days out. */
    days = seconds / 86400 + 719468;
    rest = seconds % 86400;
    era = days / 146097;
    era_day = days % 146097;
    era_year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) /
               365;
    days = era_day - (era_year * 365 + era_year / 4 - era_year / 100);
    month = (int) ((5 * days + 2) / 153);
    days -= (153 * month + 2) / 5;
    month += month < 10 ? 3 : -9;
    year = era * 400 + era_year + (month <= 2);
    memcpy(ret, "???, 00 ??? 0000 00:00:00 GMT", HTTPD_DATE_SIZE);
    memcpy(ret, &weekdays[3 * (size_t) (seconds / 86400 % 7)], 3);
    memcpy(ret + 8, &months[3 * (size_t) (month - 1)], 3);
    put_number(ret + 5, 2, days + 1);
    put_number(ret + 12, 4, year);
    put_number(ret + 17, 2, rest / 3600);
    put_number(ret + 20, 2, rest / 60 % 60);
    put_number(ret + 23, 2, rest % 60);
}

/* Returns the number of `count` digits, or -1. */
static int number(const char *text, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

bool httpd_date_parse(const char *text, int64_t *ret_seconds)
{
    static const char form[] = "???, ?? ??? ???? ??:??:?? GMT";
    int day, year, hour, minute, second, month = 1;

    for (size_t i = 0; i < sizeof form; i++)
        if (text[i] == '\0' ? form[i] != '\0'
                            : form[i] != '?' && text[i] != form[i])
            return false;
        else if (text[i] == '\0')
            break;
    day = number(text + 5, 2);
    year = number(text + 12, 4);
    hour = number(text + 17, 2);
    minute = number(text + 20, 2);
    second = number(text + 23, 2);
    while (month <= 12 &&
           memcmp(text + 8, &months[3 * (size_t) (month - 1)], 3) != 0)
        month++;
    if (day < 1 || day > 31 || year < 1 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60 || month > 12)
        return false;
    *ret_seconds = days_of(year, month, day) * 86400 + hour * INT64_C(3600) +
                   minute * INT64_C(60) + second;
    return true;
}
