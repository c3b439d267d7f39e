/* SPDX-License-Identifier: ISC */
/* The Lua scripts, embedded at build time from lua/, each ended by a zero byte. */
#ifndef REDIS_SCRIPT_H
#define REDIS_SCRIPT_H

extern const char lua_take[];
extern const char lua_give_back[];
extern const char lua_settle[];
/* By which Redis knows a script that it was given before. */
extern const char lua_take_sha[];
extern const char lua_give_back_sha[];
extern const char lua_settle_sha[];

#endif
