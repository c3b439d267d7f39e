/* SPDX-License-Identifier: ISC */
/* The descriptors 0, 1 and 2, which a parent may have closed (">&-"). */
#ifndef BASE_STD_FDS_H
#define BASE_STD_FDS_H

/* Opens /dev/null for each of them that is closed. Without it the first sockets get their
 * numbers, and what is printed or logged goes to them. It is opened the wrong way round,
 * so that reading 0 and writing to 1 and 2 stay the errors that they were. To be called
 * first, while there is one thread. */
void std_fds_fill(void);

#endif
