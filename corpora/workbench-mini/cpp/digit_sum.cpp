#include <cstdlib>

int digit_sum(long long number) {
    int sum = 0;
    for (long long rest = std::llabs(number); rest > 0; rest /= 10) {
        sum += rest % 10;
    }
    return sum;
}
